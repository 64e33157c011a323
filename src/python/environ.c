/* SPDX-License-Identifier: MIT */
/*
 * A request's environ: what its target and its fields say.
 *
 * Decisions that PEP 3333 leaves open: PATH_INFO is '' for the target "*". A field that came more than once
 * is joined by ',' (Cookie by '; '). Content that came chunked has CONTENT_LENGTH and no
 * HTTP_TRANSFER_ENCODING, since it is no longer chunked when the application sees it. SCRIPT_NAME in the
 * process's environment says where the application is mounted: it is taken off the front of paths that begin
 * with it.
 */
#include "environ.h"

#include <stdlib.h>

#include "text.h"

/*
 * Fields that came more than once. The first value is in environ; from the second on, all values are gathered
 * in a list for each key, and joined in the end, so that the time is linear in their bytes.
 */
static int repeat_add(PyObject **repeats, PyObject *env, PyObject *key, PyObject *value)
{
    PyObject *values, *first;
    int status = -1;

    if (*repeats == NULL && (*repeats = PyDict_New()) == NULL)
        return -1;
    values = Py_XNewRef(PyDict_GetItemWithError(*repeats, key));
    if (values == NULL && !PyErr_Occurred()) {
        first = PyDict_GetItemWithError(env, key);
        values = PyList_New(0);
        if (values == NULL || PyList_Append(values, first) < 0 || PyDict_SetItem(*repeats, key, values) < 0)
            Py_CLEAR(values);
    }
    if (values != NULL)
        status = PyList_Append(values, value);
    Py_XDECREF(values);
    return status;
}

static int repeats_join(struct environ_factory *f, PyObject *repeats, PyObject *env)
{
    PyObject *cookie = f->template.field_keys[HTTP_FIELD_COOKIE];
    PyObject *key, *values;
    Py_ssize_t position = 0;

    while (PyDict_Next(repeats, &position, &key, &values))
        if (text_put(env, key, PyUnicode_Join(key == cookie ? f->semicolon : f->comma, values)) < 0)
            return -1;
    return 0;
}

static int put_other(PyObject **repeats, PyObject *env, struct str name, struct str bytes)
{
    PyObject *key = text_field_key(name);
    PyObject *value = text_new(bytes);
    Py_ssize_t before = PyDict_GET_SIZE(env);
    int status = -1;

    if (key == NULL || value == NULL)
        goto done;
    if (PyDict_SetDefault(env, key, value) != NULL)
        status = PyDict_GET_SIZE(env) > before ? 0 : repeat_add(repeats, env, key, value);
done:
    Py_XDECREF(value);
    Py_XDECREF(key);
    return status;
}

/* As put_other for a field of the table; `seen` says whether it is there already. */
static int put_known(const struct template *t, PyObject **repeats, PyObject *env, const struct http_field *field,
                     struct str bytes, bool seen)
{
    PyObject *key = t->field_keys[field->id], *value = text_new(bytes);
    int status;

    if (!seen)
        return text_put(env, key, value);
    if (value == NULL)
        return -1;
    status = repeat_add(repeats, env, key, value);
    Py_DECREF(value);
    return status;
}

/* The fields that environ does not show as they came. Proxy would be taken for a setting: HTTP_PROXY. */
static uint64_t hidden_fields(const struct exchange *x)
{
    uint64_t hidden = FIELD_BIT(HTTP_FIELD_PROXY) | FIELD_BIT(HTTP_FIELD_HOST);

    return x->content.chunked ? hidden | FIELD_BIT(HTTP_FIELD_TRANSFER_ENCODING) : hidden;
}

/* *joined: whether a field came more than once. */
static int put_fields(struct environ_factory *f, PyObject *env, const struct exchange *x, bool *joined)
{
    const struct http_field *field = x->head.fields, *end = field + x->head.field_count;
    uint64_t hidden = hidden_fields(x), seen = 0;
    PyObject *repeats = NULL;
    int status = 0;

    for (; field < end && status == 0; field++) {
        struct str value = http_field_value(field, x->raw);
        uint64_t bit = FIELD_BIT(field->id);

        if (field->underscore || (hidden & bit) != 0)
            continue;
        if (field->id == HTTP_FIELD_OTHER)
            status = put_other(&repeats, env, http_field_name(field, x->raw), value);
        else
            status = put_known(&f->template, &repeats, env, field, value, (seen & bit) != 0);
        seen |= bit;
    }
    *joined = repeats != NULL;
    if (repeats != NULL && status == 0)
        status = repeats_join(f, repeats, env);
    Py_XDECREF(repeats);
    return status;
}

/* What of `path` is below the mount point; *mounted tells whether it is. */
static struct str below_mount(const struct environ_factory *f, struct str path, bool *mounted)
{
    struct str mount;

    *mounted = false;
    if (f->script_name == NULL || compat_latin1(f->script_name, &mount) < 0)
        return path;
    if (path.len < mount.len || memcmp(path.ptr, mount.ptr, mount.len) != 0)
        return path;
    if (path.len > mount.len && path.ptr[mount.len] != '/')
        return path;
    *mounted = true;
    return str_make(path.ptr + mount.len, path.len - mount.len);
}

/*
 * `target`: the str of the whole target, which is the path too when there is nothing to decode or take off.
 */
static int put_path(struct environ_factory *f, PyObject *env, const struct http_uri *uri, PyObject *target)
{
    PyObject **keys = f->template.keys;
    struct str path = uri->path;
    bool mounted;

    if (uri->form == HTTP_URI_ASTERISK)
        return 0;
    if (uri->encoded) {
        f->path.len = 0;
        path.ptr = buf_room(&f->path, path.len);
        path.len = http_percent_decode(f->path.data, uri->path);
    }
    path = below_mount(f, path, &mounted);
    if (mounted && PyDict_SetItem(env, keys[ENVIRON_SCRIPT_NAME], f->script_name) < 0)
        return -1;
    if (!uri->encoded && path.len == (size_t)PyUnicode_GET_LENGTH(target))
        return PyDict_SetItem(env, keys[ENVIRON_PATH_INFO], target);
    return text_put(env, keys[ENVIRON_PATH_INFO], text_new(path));
}

static int put_target(struct environ_factory *f, PyObject *env, const struct exchange *x)
{
    const struct http_uri *uri = &x->head.uri;
    PyObject **keys = f->template.keys;
    PyObject *target = text_new(x->head.target);
    int status = -1;

    if (target == NULL || PyDict_SetItem(env, keys[ENVIRON_REQUEST_URI], target) < 0 ||
        PyDict_SetItem(env, keys[ENVIRON_RAW_URI], target) < 0)
        goto done;
    if (put_path(f, env, uri, target) < 0)
        goto done;
    if (uri->query.len > 0 && text_put(env, keys[ENVIRON_QUERY_STRING], text_new(uri->query)) < 0)
        goto done;
    status = 0;
done:
    Py_XDECREF(target);
    return status;
}

/* Content without a Content-Length of its own has one by now. */
static int put_content(struct environ_factory *f, PyObject *env, const struct exchange *x)
{
    if (!x->content.chunked)
        return 0;
    return text_put(env, f->template.field_keys[HTTP_FIELD_CONTENT_LENGTH],
                    PyUnicode_FromFormat("%llu", (unsigned long long)x->content.len));
}

/* Whether what environ says of a target follows from its bytes alone. */
static bool path_is_target(const struct environ_factory *f)
{
    return f->script_name == NULL;
}

/* As environ_new, from the beginning. */
static PyObject *build(struct environ_factory *f, const struct exchange *x, PyObject *input, bool *joined)
{
    PyObject *env = template_copy(&f->template, x, input);

    if (env == NULL)
        return NULL;
    if (put_target(f, env, x) < 0 || put_fields(f, env, x, joined) < 0 || put_content(f, env, x) < 0)
        Py_CLEAR(env);
    return env;
}

/* As environ_new, of what was prepared for such requests. */
static PyObject *complete(struct environ_factory *f, struct prepared *row, const struct exchange *x, PyObject *input)
{
    bool has_target;
    PyObject *env = prepared_copy(row, &f->template, x, input, &has_target);

    if (env == NULL || has_target)
        return env;
    if (put_target(f, env, x) < 0 ||
        (path_is_target(f) && prepared_learn_target(row, &f->template, x, env) < 0))
        Py_CLEAR(env);
    return env;
}

PyObject *environ_new(struct environ_factory *f, const struct exchange *x, struct input *input)
{
    struct prepared *row = prepared_row(&f->prepared, x);
    PyObject *env;
    bool joined;

    if (row != NULL && prepared_is_for(row, x))
        return complete(f, row, x, (PyObject *)input);
    env = build(f, x, (PyObject *)input, &joined);
    if (env != NULL && row != NULL && row->fields_id == 0 && !joined &&
        prepared_make(&f->prepared, row, &f->template, x, env, input, path_is_target(f)) < 0)
        Py_CLEAR(env);
    return env;
}

/*
 * SCRIPT_NAME as the process has it, without a '/' at its end; NULL in f if there is none or it is only that.
 */
static int find_mount(struct environ_factory *f)
{
    const char *name = getenv("SCRIPT_NAME");
    struct str mount;

    if (name == NULL)
        return 0;
    mount = str_make(name, strlen(name));
    while (mount.len > 0 && mount.ptr[mount.len - 1] == '/')
        mount.len--;
    if (mount.len == 0)
        return 0;
    f->script_name = text_new(mount);
    return f->script_name == NULL ? -1 : 0;
}

int environ_factory_init(struct environ_factory *f, const struct environ_settings *settings)
{
    memset(f, 0, sizeof(*f));
    f->comma = PyUnicode_FromString(",");
    f->semicolon = PyUnicode_FromString("; ");
    if (f->comma == NULL || f->semicolon == NULL || find_mount(f) < 0 || prepared_init(&f->prepared) < 0)
        return -1;
    return template_init(&f->template, settings);
}

void environ_factory_release(struct environ_factory *f)
{
    prepared_release(&f->prepared);
    template_release(&f->template);
    Py_CLEAR(f->comma);
    Py_CLEAR(f->semicolon);
    Py_CLEAR(f->script_name);
    buf_release(&f->path);
}
