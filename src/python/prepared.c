/* SPDX-License-Identifier: MIT */
/* The table is addressed by fields_id directly: ids are handed out in turn, so they spread evenly. */
#include "prepared.h"

#include "text.h"

enum { USED_MAX = 4, TARGET_MAX = 256 };

/* Fields that no server lets anybody in for; what else a client sends may be a secret. */
#define NO_SECRET                                                                                                      \
    (FIELD_BIT(HTTP_FIELD_ACCEPT) | FIELD_BIT(HTTP_FIELD_ACCEPT_CHARSET) | FIELD_BIT(HTTP_FIELD_ACCEPT_ENCODING) |     \
     FIELD_BIT(HTTP_FIELD_ACCEPT_LANGUAGE) | FIELD_BIT(HTTP_FIELD_CACHE_CONTROL) | FIELD_BIT(HTTP_FIELD_CONNECTION) |  \
     FIELD_BIT(HTTP_FIELD_CONTENT_ENCODING) | FIELD_BIT(HTTP_FIELD_CONTENT_LENGTH) |                                   \
     FIELD_BIT(HTTP_FIELD_CONTENT_TYPE) | FIELD_BIT(HTTP_FIELD_DNT) | FIELD_BIT(HTTP_FIELD_HOST) |                     \
     FIELD_BIT(HTTP_FIELD_KEEP_ALIVE) | FIELD_BIT(HTTP_FIELD_ORIGIN) | FIELD_BIT(HTTP_FIELD_PRAGMA) |                  \
     FIELD_BIT(HTTP_FIELD_PRIORITY) | FIELD_BIT(HTTP_FIELD_SEC_CH_UA) | FIELD_BIT(HTTP_FIELD_SEC_CH_UA_MOBILE) |       \
     FIELD_BIT(HTTP_FIELD_SEC_CH_UA_PLATFORM) | FIELD_BIT(HTTP_FIELD_SEC_FETCH_DEST) |                                 \
     FIELD_BIT(HTTP_FIELD_SEC_FETCH_MODE) | FIELD_BIT(HTTP_FIELD_SEC_FETCH_SITE) |                                     \
     FIELD_BIT(HTTP_FIELD_SEC_FETCH_USER) | FIELD_BIT(HTTP_FIELD_TE) |                                                 \
     FIELD_BIT(HTTP_FIELD_UPGRADE_INSECURE_REQUESTS) | FIELD_BIT(HTTP_FIELD_USER_AGENT) | FIELD_BIT(HTTP_FIELD_VIA) |  \
     FIELD_BIT(HTTP_FIELD_X_REQUESTED_WITH))

static const enum environ_key target_keys[] = {ENVIRON_REQUEST_URI, ENVIRON_RAW_URI, ENVIRON_PATH_INFO,
                                               ENVIRON_QUERY_STRING, ENVIRON_SCRIPT_NAME};

enum { TARGET_KEYS = sizeof(target_keys) / sizeof(target_keys[0]) };

static void row_clear(struct prepared *row)
{
    if (row->input != NULL)
        row->input->prepared--;
    Py_CLEAR(row->dict);
    Py_CLEAR(row->keys);
    Py_CLEAR(row->method);
    Py_CLEAR(row->target);
    *row = (struct prepared){0};
}

int prepared_init(struct prepared_table *table)
{
    table->empty = PyUnicode_New(0, 0);
    return table->empty != NULL ? 0 : -1;
}

void prepared_release(struct prepared_table *table)
{
    for (int i = 0; i < PREPARED_ROWS; i++)
        row_clear(&table->rows[i]);
    Py_CLEAR(table->empty);
}

/* Content that came chunked has a length of its own; an absolute target decides about the host. */
struct prepared *prepared_row(struct prepared_table *table, const struct exchange *x)
{
    if (x->head.fields_id == 0 || x->peer->id == 0 || x->content.chunked || x->head.uri.form != HTTP_URI_ORIGIN)
        return NULL;
    return &table->rows[x->head.fields_id % PREPARED_ROWS];
}

bool prepared_is_for(struct prepared *row, const struct exchange *x)
{
    if (row->fields_id == x->head.fields_id && row->peer_id == x->peer->id) {
        row->used += row->used < USED_MAX;
        return true;
    }
    if (row->used > 0)
        row->used--;
    if (row->used == 0 && row->fields_id != 0)
        row_clear(row);
    return false;
}

/* Puts the fields into env that the row does not know: a bit for each in `fields`. */
static int put_fields(const struct prepared *row, uint64_t fields, const struct exchange *x, PyObject *env)
{
    for (; fields != 0; fields &= fields - 1) {
        unsigned i = (unsigned)__builtin_ctzll(fields);
        PyObject *key = PyTuple_GET_ITEM(row->keys, (Py_ssize_t)i);

        if (text_put(env, key, text_new(http_field_value(&x->head.fields[i], x->raw))) < 0)
            return -1;
    }
    return 0;
}

PyObject *prepared_copy(struct prepared *row, const struct template *t, const struct exchange *x, PyObject *input,
                        bool *has_target)
{
    PyObject *env = PyDict_Copy(row->dict);

    if (env == NULL)
        return NULL;
    *has_target = row->target != NULL && text_is(row->target, x->head.target);
    if ((PyObject *)row->input != input && PyDict_SetItem(env, t->keys[ENVIRON_INPUT], input) < 0)
        goto failed;
    if (!text_is(row->method, x->head.method) &&
        text_put(env, t->keys[ENVIRON_REQUEST_METHOD], template_method(t, x->head.method)) < 0)
        goto failed;
    if (put_fields(row, row->late | (x->head.changed & row->shown), x, env) < 0)
        goto failed;
    return env;
failed:
    Py_DECREF(env);
    return NULL;
}

/* The key of a field in env. New reference, None if env does not have it, or NULL with an exception set. */
static PyObject *key_of(const struct template *t, const struct http_field *field, const struct exchange *x,
                        PyObject *env)
{
    PyObject *key;
    int present;

    if (field->underscore)
        return Py_NewRef(Py_None);
    if (field->id != HTTP_FIELD_OTHER)
        key = Py_NewRef(t->field_keys[field->id]);
    else
        key = text_field_key(http_field_name(field, x->raw));
    present = key != NULL ? PyDict_Contains(env, key) : -1;
    if (present == 0)
        Py_SETREF(key, Py_NewRef(Py_None));
    else if (present < 0)
        Py_CLEAR(key);
    return key;
}

/* The keys of all fields of x. New reference, or NULL with an exception set. */
static PyObject *keys_of(const struct template *t, const struct exchange *x, PyObject *env)
{
    PyObject *keys = PyTuple_New(x->head.field_count);

    for (uint32_t i = 0; keys != NULL && i < x->head.field_count; i++) {
        PyObject *key = key_of(t, &x->head.fields[i], x, env);

        if (key != NULL)
            PyTuple_SET_ITEM(keys, (Py_ssize_t)i, key);
        else
            Py_CLEAR(keys);
    }
    return keys;
}

/* The fields that have a key. */
static uint64_t shown_fields(PyObject *keys)
{
    uint64_t shown = 0;

    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keys); i++)
        shown |= (uint64_t)(PyTuple_GET_ITEM(keys, i) != Py_None) << i;
    return shown;
}

/* The fields whose values the row must not have: what may be a secret, and what others of its fields_id may not have. */
static uint64_t late_fields(const struct exchange *x)
{
    uint64_t late = x->head.changed;

    for (uint32_t i = 0; i < x->head.field_count; i++) {
        unsigned id = x->head.fields[i].id;

        if (id == HTTP_FIELD_OTHER || (NO_SECRET & FIELD_BIT(id)) == 0)
            late |= UINT64_C(1) << i;
    }
    return late;
}

/* Takes the values of late fields out of the row's dict. 0, or -1 with an exception set. */
static int empty_late(struct prepared_table *table, struct prepared *row)
{
    for (uint64_t late = row->late; late != 0; late &= late - 1) {
        if (PyDict_SetItem(row->dict, PyTuple_GET_ITEM(row->keys, __builtin_ctzll(late)), table->empty) < 0)
            return -1;
    }
    return 0;
}

static bool is_kept(struct str target, bool path_is_target)
{
    return path_is_target && target.len <= TARGET_MAX && memchr(target.ptr, '?', target.len) == NULL;
}

static int set_target(struct prepared_table *table, struct prepared *row, const struct template *t,
                      const struct exchange *x, PyObject *env, bool path_is_target)
{
    if (is_kept(x->head.target, path_is_target)) {
        row->target = Py_XNewRef(PyDict_GetItemWithError(env, t->keys[ENVIRON_REQUEST_URI]));
        return row->target != NULL ? 0 : -1;
    }
    for (int i = 0; i < TARGET_KEYS; i++)
        if (PyDict_SetItem(row->dict, t->keys[target_keys[i]], table->empty) < 0)
            return -1;
    return 0;
}

int prepared_make(struct prepared_table *table, struct prepared *row, const struct template *t, const struct exchange *x,
                  PyObject *env, struct input *input, bool path_is_target)
{
    int status;

    if (!template_has_method(t, x->head.method))
        return 0;
    row->dict = PyDict_Copy(env);
    row->keys = keys_of(t, x, env);
    row->method = Py_XNewRef(PyDict_GetItemWithError(env, t->keys[ENVIRON_REQUEST_METHOD]));
    if (row->keys != NULL)
        row->shown = shown_fields(row->keys);
    row->late = late_fields(x) & row->shown;
    status = row->dict != NULL && row->keys != NULL && row->method != NULL ? empty_late(table, row) : -1;
    if (status == 0)
        status = set_target(table, row, t, x, env, path_is_target);
    if (status < 0) {
        row_clear(row);
        return -1;
    }
    row->fields_id = x->head.fields_id;
    row->peer_id = x->peer->id;
    row->input = input;
    input->prepared++;
    return 0;
}

static uint64_t hash_of(struct str bytes)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ (unsigned char)bytes.ptr[i]) * UINT64_C(1099511628211);
    return hash;
}

int prepared_learn_target(struct prepared *row, const struct template *t, const struct exchange *x, PyObject *env)
{
    uint64_t hash;

    if (!is_kept(x->head.target, true))
        return 0;
    hash = hash_of(x->head.target);
    if (hash != row->other_target) {
        row->other_target = hash;
        return 0;
    }
    Py_CLEAR(row->target);
    for (int i = 0; i < TARGET_KEYS; i++) {
        PyObject *key = t->keys[target_keys[i]], *value = PyDict_GetItemWithError(env, key);

        if (value == NULL || PyDict_SetItem(row->dict, key, value) < 0)
            return -1;
        if (i == 0)
            row->target = Py_NewRef(value);
    }
    return 0;
}
