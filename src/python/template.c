/* SPDX-License-Identifier: MIT */
/*
 * The template and its upkeep. Copying a dict is one allocation and a copy of memory, so each key that is
 * right before the copy saves an insertion; that is most of what a request's environ costs.
 */
#include "template.h"

#include <stddef.h>

#include "text.h"

enum { KEPT_MAX = 256 }; /* bytes of a host that is kept */

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

static const char *const method_names[TEMPLATE_METHOD_COUNT] = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND",
};

/* What a connection says of itself. */
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

/* Steals value, which may be NULL with an exception set. */
static int set(struct template *t, enum environ_key key, PyObject *value)
{
    if (value == NULL)
        return -1;
    if (PyDict_SetItem(t->dict, t->keys[key], value) < 0) {
        Py_DECREF(value);
        return -1;
    }
    Py_XSETREF(t->values[key], value);
    return 0;
}

static int set_peer(struct template *t, const struct peer *peer)
{
    if (peer->id != 0 && peer->id == t->peer_id)
        return 0;
    t->peer_id = 0;
    for (size_t i = 0; i < sizeof(peer_values) / sizeof(peer_values[0]); i++) {
        enum environ_key key = peer_values[i].key;
        struct str text = *(const struct str *)((const char *)peer + peer_values[i].offset);

        if (!text_is(t->values[key], text) && set(t, key, text_new(text)) < 0)
            return -1;
    }
    t->peer_id = peer->id;
    return 0;
}

static int set_protocol(struct template *t, unsigned minor)
{
    PyObject *protocol = t->protocols[minor < TEMPLATE_MINOR_COUNT ? minor : 1];

    if (protocol == t->values[ENVIRON_SERVER_PROTOCOL])
        return 0;
    return set(t, ENVIRON_SERVER_PROTOCOL, Py_NewRef(protocol));
}

/* The object of a method; NULL, without an exception, if the client made it up. Borrowed. */
static PyObject *find_method(const struct template *t, struct str method)
{
    for (size_t i = 0; i < TEMPLATE_METHOD_COUNT; i++)
        if (text_is(t->methods[i], method))
            return t->methods[i];
    return NULL;
}

bool template_has_method(const struct template *t, struct str method)
{
    return find_method(t, method) != NULL;
}

PyObject *template_method(const struct template *t, struct str method)
{
    PyObject *known = find_method(t, method);

    return known != NULL ? Py_NewRef(known) : text_new(method);
}

/* *made_up: the client made the method up, so it gets into its own environ only. */
static int set_method(struct template *t, struct str method, bool *made_up)
{
    PyObject *known;

    *made_up = false;
    if (text_is(t->values[ENVIRON_REQUEST_METHOD], method))
        return 0;
    known = find_method(t, method);
    *made_up = known == NULL;
    return known != NULL ? set(t, ENVIRON_REQUEST_METHOD, Py_NewRef(known)) : 0;
}

/*
 * The host that was asked for: in an absolute target that counts, whatever Host says. NULL in ptr without
 * one.
 */
static struct str find_host(const struct exchange *x)
{
    if (x->head.uri.form == HTTP_URI_ABSOLUTE)
        return x->head.uri.authority;
    if (x->head.host < 0)
        return str_make(NULL, 0);
    return http_field_value(&x->head.fields[x->head.host], x->raw);
}

static int set_host(struct template *t, struct str host)
{
    if (host.ptr == NULL || host.len > KEPT_MAX || text_is(t->values[ENVIRON_HTTP_HOST], host))
        return 0;
    return set(t, ENVIRON_HTTP_HOST, text_new(host));
}

/* Makes the dict right for x. 0, or -1 with an exception set. */
static int prepare(struct template *t, const struct exchange *x, PyObject *input, bool *made_up)
{
    if (set_peer(t, x->peer) < 0 || set_protocol(t, x->head.minor) < 0 ||
        set_method(t, x->head.method, made_up) < 0 || set_host(t, find_host(x)) < 0)
        return -1;
    return t->values[ENVIRON_INPUT] != input ? set(t, ENVIRON_INPUT, Py_NewRef(input)) : 0;
}

/* What only this request's copy is to have. */
static int correct(struct template *t, const struct exchange *x, PyObject *env, bool made_up)
{
    struct str host = find_host(x);

    if (made_up && text_put(env, t->keys[ENVIRON_REQUEST_METHOD], text_new(x->head.method)) < 0)
        return -1;
    if (host.ptr == NULL)
        return PyDict_DelItem(env, t->keys[ENVIRON_HTTP_HOST]);
    return host.len > KEPT_MAX ? text_put(env, t->keys[ENVIRON_HTTP_HOST], text_new(host)) : 0;
}

PyObject *template_copy(struct template *t, const struct exchange *x, PyObject *input)
{
    bool made_up;
    PyObject *env = prepare(t, x, input, &made_up) == 0 ? PyDict_Copy(t->dict) : NULL;

    if (env != NULL && correct(t, x, env, made_up) < 0)
        Py_CLEAR(env);
    return env;
}

Py_ssize_t template_input_references(const struct template *t, const PyObject *input)
{
    return t->values[ENVIRON_INPUT] == input ? 2 : 0;
}

static int make_texts(PyObject **texts, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((texts[i] = PyUnicode_InternFromString(names[i])) == NULL)
            return -1;
    return 0;
}

static int make_field_keys(struct template *t)
{
    for (size_t i = HTTP_FIELD_OTHER + 1; i < HTTP_FIELD_COUNT; i++) {
        t->field_keys[i] = text_new(http_field_table[i].cgi);
        if (t->field_keys[i] == NULL)
            return -1;
        PyUnicode_InternInPlace(&t->field_keys[i]);
    }
    return 0;
}

static int make_protocols(struct template *t)
{
    for (int minor = 0; minor < TEMPLATE_MINOR_COUNT; minor++)
        if ((t->protocols[minor] = PyUnicode_FromFormat("HTTP/1.%d", minor)) == NULL)
            return -1;
    return 0;
}

/* Every key that all requests have, in the order of enum environ_key. */
static int fill(struct template *t, const struct environ_settings *settings)
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
        [ENVIRON_REQUEST_METHOD] = Py_NewRef(t->methods[0]),
        [ENVIRON_SERVER_PROTOCOL] = Py_NewRef(t->protocols[1]),
    };
    int status = PyErr_Occurred() ? -1 : 0;

    for (int key = 0; key < ENVIRON_KEY_COUNT; key++) {
        if (status == 0)
            status = set(t, (enum environ_key)key, values[key] != NULL ? values[key] : PyUnicode_New(0, 0));
        else
            Py_XDECREF(values[key]);
    }
    return status;
}

int template_init(struct template *t, const struct environ_settings *settings)
{
    memset(t, 0, sizeof(*t));
    t->dict = PyDict_New();
    if (t->dict == NULL || make_texts(t->keys, key_names, ENVIRON_KEY_COUNT) < 0 ||
        make_texts(t->methods, method_names, TEMPLATE_METHOD_COUNT) < 0)
        return -1;
    if (make_field_keys(t) < 0 || make_protocols(t) < 0)
        return -1;
    return fill(t, settings);
}

static void release_all(PyObject **objects, size_t count)
{
    for (size_t i = 0; i < count; i++)
        Py_CLEAR(objects[i]);
}

void template_release(struct template *t)
{
    Py_CLEAR(t->dict);
    release_all(t->keys, ENVIRON_KEY_COUNT);
    release_all(t->field_keys, HTTP_FIELD_COUNT);
    release_all(t->values, ENVIRON_KEY_COUNT);
    release_all(t->methods, TEMPLATE_METHOD_COUNT);
    release_all(t->protocols, TEMPLATE_MINOR_COUNT);
}
