/* SPDX-License-Identifier: MIT */
/*
 * environ, key by key. What is hot here runs for every request: the template spares most keys (PyDict_Copy of a dict
 * without holes is one allocation and a memcpy), and the keys of well-known fields are str objects made once.
 *
 * Decisions that PEP 3333 leaves open: PATH_INFO is '' for the target "*". A field that came more than once is joined
 * by ',' (Cookie by '; '). Content that came chunked has CONTENT_LENGTH and no HTTP_TRANSFER_ENCODING, since it is
 * no longer chunked when the application sees it. SCRIPT_NAME in the process's environment says where the
 * application is mounted: it is taken off the front of paths that begin with it.
 */
#include "environ.h"

#include <stddef.h>

enum { KEPT_MAX = 256 }; /* bytes of a field's value that is kept from one request to the next */

#define BIT(field) (UINT64_C(1) << (field))

_Static_assert(HTTP_FIELD_COUNT <= 64, "sets of fields are one word");

static const char *const key_names[ENVIRON_KEY_COUNT] = {
    [ENVIRON_REQUEST_METHOD] = "REQUEST_METHOD",
    [ENVIRON_SCRIPT_NAME] = "SCRIPT_NAME",
    [ENVIRON_PATH_INFO] = "PATH_INFO",
    [ENVIRON_QUERY_STRING] = "QUERY_STRING",
    [ENVIRON_REQUEST_URI] = "REQUEST_URI",
    [ENVIRON_RAW_URI] = "RAW_URI",
    [ENVIRON_SERVER_PROTOCOL] = "SERVER_PROTOCOL",
    [ENVIRON_REMOTE_ADDR] = "REMOTE_ADDR",
    [ENVIRON_REMOTE_PORT] = "REMOTE_PORT",
    [ENVIRON_SERVER_NAME] = "SERVER_NAME",
    [ENVIRON_SERVER_PORT] = "SERVER_PORT",
    [ENVIRON_SERVER_SOFTWARE] = "SERVER_SOFTWARE",
    [ENVIRON_HTTP_HOST] = "HTTP_HOST",
    [ENVIRON_URL_SCHEME] = "wsgi.url_scheme",
    [ENVIRON_VERSION] = "wsgi.version",
    [ENVIRON_INPUT] = "wsgi.input",
    [ENVIRON_INPUT_TERMINATED] = "wsgi.input_terminated",
    [ENVIRON_ERRORS] = "wsgi.errors",
    [ENVIRON_FILE_WRAPPER] = "wsgi.file_wrapper",
    [ENVIRON_MULTITHREAD] = "wsgi.multithread",
    [ENVIRON_MULTIPROCESS] = "wsgi.multiprocess",
    [ENVIRON_RUN_ONCE] = "wsgi.run_once",
};

static const char *const method_names[ENVIRON_METHOD_COUNT] = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND",
};

/* Fields with few values among all clients, and none that is a secret: the latest value is likely to be the next. */
static const uint64_t kept_fields =
    BIT(HTTP_FIELD_ACCEPT) | BIT(HTTP_FIELD_ACCEPT_CHARSET) | BIT(HTTP_FIELD_ACCEPT_ENCODING) |
    BIT(HTTP_FIELD_ACCEPT_LANGUAGE) | BIT(HTTP_FIELD_CACHE_CONTROL) | BIT(HTTP_FIELD_CONNECTION) |
    BIT(HTTP_FIELD_CONTENT_TYPE) | BIT(HTTP_FIELD_DNT) | BIT(HTTP_FIELD_KEEP_ALIVE) | BIT(HTTP_FIELD_PRAGMA) |
    BIT(HTTP_FIELD_PRIORITY) | BIT(HTTP_FIELD_SEC_CH_UA) | BIT(HTTP_FIELD_SEC_CH_UA_MOBILE) |
    BIT(HTTP_FIELD_SEC_CH_UA_PLATFORM) | BIT(HTTP_FIELD_SEC_FETCH_DEST) | BIT(HTTP_FIELD_SEC_FETCH_MODE) |
    BIT(HTTP_FIELD_SEC_FETCH_SITE) | BIT(HTTP_FIELD_SEC_FETCH_USER) | BIT(HTTP_FIELD_TE) |
    BIT(HTTP_FIELD_UPGRADE_INSECURE_REQUESTS) | BIT(HTTP_FIELD_USER_AGENT) | BIT(HTTP_FIELD_VIA) |
    BIT(HTTP_FIELD_X_FORWARDED_HOST) | BIT(HTTP_FIELD_X_FORWARDED_PORT) | BIT(HTTP_FIELD_X_FORWARDED_PROTO) |
    BIT(HTTP_FIELD_X_REQUESTED_WITH);

/* What a connection says of itself: the keys whose values the template has from the latest request. */
static const struct {
    enum environ_key key;
    size_t offset; /* of a struct str in struct peer */
} peer_values[] = {
    {ENVIRON_REMOTE_PORT, offsetof(struct peer, remote_port)},
    {ENVIRON_REMOTE_ADDR, offsetof(struct peer, remote_addr)},
    {ENVIRON_SERVER_NAME, offsetof(struct peer, server_name)},
    {ENVIRON_SERVER_PORT, offsetof(struct peer, server_port)},
    {ENVIRON_URL_SCHEME, offsetof(struct peer, scheme)},
};

static uint64_t load_word(const char *from)
{
    uint64_t word;

    memcpy(&word, from, sizeof(word));
    return word;
}

/* A word at a time; the last word overlaps the one before it. */
static bool is_ascii(struct str bytes)
{
    uint64_t all = 0;

    if (bytes.len >= sizeof(all)) {
        for (size_t i = 0; i < bytes.len - sizeof(all); i += sizeof(all))
            all |= load_word(bytes.ptr + i);
        all |= load_word(bytes.ptr + bytes.len - sizeof(all));
    } else {
        for (size_t i = 0; i < bytes.len; i++)
            all |= (unsigned char)bytes.ptr[i];
    }
    return (all & UINT64_C(0x8080808080808080)) == 0;
}

/* The str of latin-1 bytes. New reference. */
static PyObject *text_new(struct str bytes)
{
    PyObject *text = PyUnicode_New((Py_ssize_t)bytes.len, is_ascii(bytes) ? 127 : 255);

    if (text != NULL && bytes.len > 0)
        memcpy(PyUnicode_1BYTE_DATA(text), bytes.ptr, bytes.len);
    return text;
}

static bool text_is(PyObject *text, struct str bytes)
{
    if ((size_t)PyUnicode_GET_LENGTH(text) != bytes.len)
        return false;
    return bytes.len == 0 || memcmp(PyUnicode_1BYTE_DATA(text), bytes.ptr, bytes.len) == 0;
}

/* environ[key] = value. Steals value, which may be NULL with an exception set. */
static int put(PyObject *env, PyObject *key, PyObject *value)
{
    int status;

    if (value == NULL)
        return -1;
    status = PyDict_SetItem(env, key, value);
    Py_DECREF(value);
    return status;
}

/*
 * Fields that came more than once. The first value is in environ; from the second on, all values are gathered in a
 * list for each key, and joined in the end, so that the time is linear in their bytes.
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
    PyObject *cookie = f->field_keys[HTTP_FIELD_COOKIE];
    PyObject *key, *values;
    Py_ssize_t position = 0;

    while (PyDict_Next(repeats, &position, &key, &values))
        if (put(env, key, PyUnicode_Join(key == cookie ? f->semicolon : f->comma, values)) < 0)
            return -1;
    return 0;
}

/* "X-Own" to 'HTTP_X_OWN'. Never interned: the client chose it. */
static PyObject *other_key(struct str name)
{
    PyObject *key = PyUnicode_New((Py_ssize_t)name.len + 5, 127);
    Py_UCS1 *to;

    if (key == NULL)
        return NULL;
    to = PyUnicode_1BYTE_DATA(key);
    memcpy(to, "HTTP_", 5);
    to += 5;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        to[i] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (Py_UCS1)(c - 'a' + 'A') : c;
    }
    return key;
}

static int put_other(PyObject **repeats, PyObject *env, struct str name, struct str bytes)
{
    PyObject *key = other_key(name);
    PyObject *value = text_new(bytes);
    PyObject *present;
    int status = -1;

    if (key == NULL || value == NULL)
        goto done;
    present = PyDict_SetDefault(env, key, value);
    if (present != NULL)
        status = present == value ? 0 : repeat_add(repeats, env, key, value);
done:
    Py_XDECREF(value);
    Py_XDECREF(key);
    return status;
}

/* The value of a known field: the same object as the latest, if it says the same. New reference. */
static PyObject *known_value(struct environ_factory *f, unsigned id, struct str bytes)
{
    PyObject *value = f->field_values[id];

    if (value != NULL && text_is(value, bytes))
        return Py_NewRef(value);
    value = text_new(bytes);
    if (value != NULL && bytes.len <= KEPT_MAX && (kept_fields & BIT(id)) != 0)
        Py_XSETREF(f->field_values[id], Py_NewRef(value));
    return value;
}

/* As put_other for a known field; `seen` says whether it is there already. */
static int put_known(struct environ_factory *f, PyObject **repeats, PyObject *env, unsigned id, struct str bytes,
                     bool seen)
{
    PyObject *key = f->field_keys[id], *value = known_value(f, id, bytes);
    int status;

    if (!seen)
        return put(env, key, value);
    if (value == NULL)
        return -1;
    status = repeat_add(repeats, env, key, value);
    Py_DECREF(value);
    return status;
}

/*
 * The fields that environ does not show as they came. Proxy would be taken for a setting (HTTP_PROXY). Host is in
 * the template.
 */
static uint64_t hidden_fields(const struct exchange *x)
{
    uint64_t hidden = BIT(HTTP_FIELD_PROXY) | BIT(HTTP_FIELD_HOST);

    return x->content.chunked ? hidden | BIT(HTTP_FIELD_TRANSFER_ENCODING) : hidden;
}

static int put_fields(struct environ_factory *f, PyObject *env, const struct exchange *x)
{
    const struct http_field *field = x->head.fields, *end = field + x->head.field_count;
    uint64_t hidden = hidden_fields(x), seen = 0;
    PyObject *repeats = NULL;
    int status = 0;

    for (; field < end && status == 0; field++) {
        struct str value = http_field_value(field, x->raw);
        uint64_t bit = BIT(field->id);

        if (field->underscore || (hidden & bit) != 0)
            continue;
        if (field->id == HTTP_FIELD_OTHER)
            status = put_other(&repeats, env, http_field_name(field, x->raw), value);
        else
            status = put_known(f, &repeats, env, field->id, value, (seen & bit) != 0);
        seen |= bit;
    }
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

/* `target`: the str of the whole target, which is the path too when there is nothing to decode or take off. */
static int put_path(struct environ_factory *f, PyObject *env, const struct http_uri *uri, PyObject *target)
{
    struct str path = uri->path;
    bool mounted;

    if (uri->form == HTTP_URI_ASTERISK)
        return PyDict_SetItem(env, f->keys[ENVIRON_PATH_INFO], f->empty);
    if (uri->encoded) {
        f->path.len = 0;
        path.ptr = buf_room(&f->path, path.len);
        path.len = http_percent_decode(f->path.data, uri->path);
    }
    path = below_mount(f, path, &mounted);
    if (mounted && PyDict_SetItem(env, f->keys[ENVIRON_SCRIPT_NAME], f->script_name) < 0)
        return -1;
    if (!uri->encoded && path.len == (size_t)PyUnicode_GET_LENGTH(target))
        return PyDict_SetItem(env, f->keys[ENVIRON_PATH_INFO], target);
    return put(env, f->keys[ENVIRON_PATH_INFO], text_new(path));
}

static int put_target(struct environ_factory *f, PyObject *env, const struct exchange *x)
{
    const struct http_uri *uri = &x->head.uri;
    PyObject *target = text_new(x->head.target);
    int status = -1;

    if (target == NULL || PyDict_SetItem(env, f->keys[ENVIRON_REQUEST_URI], target) < 0 ||
        PyDict_SetItem(env, f->keys[ENVIRON_RAW_URI], target) < 0)
        goto done;
    if (put_path(f, env, uri, target) < 0)
        goto done;
    if (uri->query.len > 0 && put(env, f->keys[ENVIRON_QUERY_STRING], text_new(uri->query)) < 0)
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
    return put(env, f->field_keys[HTTP_FIELD_CONTENT_LENGTH],
               PyUnicode_FromFormat("%llu", (unsigned long long)x->content.len));
}

/* Sets a value that the template has from now on. Steals value. */
static int template_set(struct environ_factory *f, enum environ_key key, PyObject *value)
{
    if (value == NULL || PyDict_SetItem(f->template, f->keys[key], value) < 0) {
        Py_XDECREF(value);
        return -1;
    }
    Py_XSETREF(f->latest[key], value);
    return 0;
}

static int template_set_peer(struct environ_factory *f, const struct peer *peer)
{
    if (peer->id != 0 && peer->id == f->peer_id)
        return 0;
    f->peer_id = 0;
    for (size_t i = 0; i < sizeof(peer_values) / sizeof(peer_values[0]); i++) {
        enum environ_key key = peer_values[i].key;
        struct str text = *(const struct str *)((const char *)peer + peer_values[i].offset);

        if (!text_is(f->latest[key], text) && template_set(f, key, text_new(text)) < 0)
            return -1;
    }
    f->peer_id = peer->id;
    return 0;
}

static int template_set_protocol(struct environ_factory *f, unsigned minor)
{
    PyObject *protocol = f->protocols[minor < ENVIRON_MINOR_COUNT ? minor : 1];

    if (protocol == f->latest[ENVIRON_SERVER_PROTOCOL])
        return 0;
    return template_set(f, ENVIRON_SERVER_PROTOCOL, Py_NewRef(protocol));
}

/* *made_up: the client made the method up, so it gets into its own environ only. */
static int template_set_method(struct environ_factory *f, struct str method, bool *made_up)
{
    *made_up = false;
    if (text_is(f->latest[ENVIRON_REQUEST_METHOD], method))
        return 0;
    for (size_t i = 0; i < ENVIRON_METHOD_COUNT; i++)
        if (text_is(f->methods[i], method))
            return template_set(f, ENVIRON_REQUEST_METHOD, Py_NewRef(f->methods[i]));
    *made_up = true;
    return 0;
}

/* The host that was asked for: in an absolute target that counts, whatever Host says. NULL in ptr without one. */
static struct str find_host(const struct exchange *x)
{
    if (x->head.uri.form == HTTP_URI_ABSOLUTE)
        return x->head.uri.authority;
    if (x->head.host < 0)
        return str_make(NULL, 0);
    return http_field_value(&x->head.fields[x->head.host], x->raw);
}

static int template_set_host(struct environ_factory *f, struct str host)
{
    if (host.ptr == NULL || host.len > KEPT_MAX || text_is(f->latest[ENVIRON_HTTP_HOST], host))
        return 0;
    return template_set(f, ENVIRON_HTTP_HOST, text_new(host));
}

/* What the template does not have right for this request. */
static int put_corrections(struct environ_factory *f, PyObject *env, struct str method, struct str host)
{
    PyObject *host_key = f->keys[ENVIRON_HTTP_HOST];

    if (method.ptr != NULL && put(env, f->keys[ENVIRON_REQUEST_METHOD], text_new(method)) < 0)
        return -1;
    if (host.ptr == NULL)
        return PyDict_DelItem(env, host_key);
    return host.len > KEPT_MAX ? put(env, host_key, text_new(host)) : 0;
}

/* The template, right for this request, copied. */
static PyObject *copy_template(struct environ_factory *f, const struct exchange *x, PyObject *input)
{
    struct str method = x->head.method, host = find_host(x);
    bool made_up;
    PyObject *env;

    if (template_set_peer(f, x->peer) < 0 || template_set_protocol(f, x->head.minor) < 0 ||
        template_set_method(f, method, &made_up) < 0 || template_set_host(f, host) < 0)
        return NULL;
    if (f->latest[ENVIRON_INPUT] != input && template_set(f, ENVIRON_INPUT, Py_NewRef(input)) < 0)
        return NULL;
    env = PyDict_Copy(f->template);
    if (env != NULL && put_corrections(f, env, made_up ? method : str_make(NULL, 0), host) < 0)
        Py_CLEAR(env);
    return env;
}

PyObject *environ_new(struct environ_factory *f, const struct exchange *x, PyObject *input)
{
    PyObject *env = copy_template(f, x, input);

    if (env == NULL)
        return NULL;
    if (put_target(f, env, x) < 0 || put_fields(f, env, x) < 0 || put_content(f, env, x) < 0)
        Py_CLEAR(env);
    return env;
}

Py_ssize_t environ_input_references(const struct environ_factory *f, const PyObject *input)
{
    return f->latest[ENVIRON_INPUT] == input ? 2 : 0; /* in the template and in latest */
}

static int make_texts(PyObject **texts, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((texts[i] = PyUnicode_InternFromString(names[i])) == NULL)
            return -1;
    return 0;
}

static int make_field_keys(struct environ_factory *f)
{
    for (size_t i = HTTP_FIELD_OTHER + 1; i < HTTP_FIELD_COUNT; i++) {
        f->field_keys[i] = text_new(http_field_table[i].cgi);
        if (f->field_keys[i] == NULL)
            return -1;
        PyUnicode_InternInPlace(&f->field_keys[i]);
    }
    return 0;
}

static int make_protocols(struct environ_factory *f)
{
    for (int minor = 0; minor < ENVIRON_MINOR_COUNT; minor++)
        if ((f->protocols[minor] = PyUnicode_FromFormat("HTTP/1.%d", minor)) == NULL)
            return -1;
    return 0;
}

/* SCRIPT_NAME as the process has it, without a '/' at its end; NULL in f if there is none or it is only that. */
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

static int make_constants(struct environ_factory *f)
{
    f->empty = PyUnicode_New(0, 0);
    f->comma = PyUnicode_FromString(",");
    f->semicolon = PyUnicode_FromString("; ");
    if (f->empty == NULL || f->comma == NULL || f->semicolon == NULL)
        return -1;
    if (make_texts(f->keys, key_names, ENVIRON_KEY_COUNT) < 0)
        return -1;
    if (make_texts(f->methods, method_names, ENVIRON_METHOD_COUNT) < 0)
        return -1;
    if (make_field_keys(f) < 0 || make_protocols(f) < 0)
        return -1;
    return find_mount(f);
}

/* Every key that all requests have, in the order that a person would look for them. */
static int fill_template(struct environ_factory *f, const struct environ_settings *settings)
{
    PyObject *values[ENVIRON_KEY_COUNT] = {
        [ENVIRON_SERVER_SOFTWARE] = PyUnicode_FromString("cserve/" CSERVE_VERSION),
        [ENVIRON_VERSION] = Py_BuildValue("(ii)", 1, 0),
        [ENVIRON_INPUT_TERMINATED] = Py_NewRef(Py_True),
        [ENVIRON_ERRORS] = Py_NewRef(settings->errors),
        [ENVIRON_FILE_WRAPPER] = Py_NewRef(settings->file_wrapper),
        [ENVIRON_MULTITHREAD] = PyBool_FromLong(settings->multithread),
        [ENVIRON_MULTIPROCESS] = PyBool_FromLong(settings->multiprocess),
        [ENVIRON_RUN_ONCE] = Py_NewRef(Py_False),
        [ENVIRON_REQUEST_METHOD] = Py_NewRef(f->methods[0]),
        [ENVIRON_SERVER_PROTOCOL] = Py_NewRef(f->protocols[1]),
    };
    int status = 0;

    for (int key = 0; key < ENVIRON_KEY_COUNT; key++) {
        PyObject *value = values[key] != NULL ? values[key] : Py_NewRef(f->empty);

        if (status == 0)
            status = template_set(f, (enum environ_key)key, value);
        else
            Py_DECREF(value);
    }
    return PyErr_Occurred() ? -1 : status;
}

int environ_factory_init(struct environ_factory *f, const struct environ_settings *settings)
{
    memset(f, 0, sizeof(*f));
    f->template = PyDict_New();
    if (f->template == NULL || make_constants(f) < 0)
        return -1;
    return fill_template(f, settings);
}

static void release_all(PyObject **objects, size_t count)
{
    for (size_t i = 0; i < count; i++)
        Py_CLEAR(objects[i]);
}

void environ_factory_release(struct environ_factory *f)
{
    Py_CLEAR(f->template);
    Py_CLEAR(f->comma);
    Py_CLEAR(f->semicolon);
    Py_CLEAR(f->empty);
    Py_CLEAR(f->script_name);
    release_all(f->keys, ENVIRON_KEY_COUNT);
    release_all(f->field_keys, HTTP_FIELD_COUNT);
    release_all(f->field_values, HTTP_FIELD_COUNT);
    release_all(f->methods, ENVIRON_METHOD_COUNT);
    release_all(f->protocols, ENVIRON_MINOR_COUNT);
    release_all(f->latest, ENVIRON_KEY_COUNT);
    buf_release(&f->path);
}
