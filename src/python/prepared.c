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
    Py_CLEAR(row->method);
    Py_CLEAR(row->target);
    for (unsigned i = 0; i < row->late_count; i++)
        Py_DECREF(row->late[i].key);
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

static int put_late(const struct prepared *row, const struct exchange *x, PyObject *env)
{
    for (unsigned i = 0; i < row->late_count; i++) {
        const struct http_field *field = &x->head.fields[row->late[i].field];

        if (text_put(env, row->late[i].key, text_new(http_field_value(field, x->raw))) < 0)
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
    if (put_late(row, x, env) < 0)
        goto failed;
    return env;
failed:
    Py_DECREF(env);
    return NULL;
}

static bool is_late(const struct http_field *field)
{
    return field->id == HTTP_FIELD_OTHER || (NO_SECRET & FIELD_BIT(field->id)) == 0;
}

/* The key that a field of x has in environ. New reference, or NULL with an exception set. */
static PyObject *key_of(const struct template *t, const struct http_field *field, const struct exchange *x)
{
    if (field->id != HTTP_FIELD_OTHER)
        return Py_NewRef(t->field_keys[field->id]);
    return text_field_key(http_field_name(field, x->raw));
}

/* Takes out of the row's dict what may be a secret. 0, or -1 with an exception set. */
static int set_late(struct prepared_table *table, struct prepared *row, const struct template *t,
                    const struct exchange *x)
{
    for (uint32_t i = 0; i < x->head.field_count; i++) {
        const struct http_field *field = &x->head.fields[i];
        PyObject *key;
        int present;

        if (field->underscore || !is_late(field))
            continue;
        key = key_of(t, field, x);
        present = key != NULL ? PyDict_Contains(row->dict, key) : -1;
        if (present > 0) {
            row->late[row->late_count].field = i;
            row->late[row->late_count++].key = Py_NewRef(key);
            present = PyDict_SetItem(row->dict, key, table->empty);
        }
        Py_XDECREF(key);
        if (present < 0)
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

static bool has_many_late(const struct exchange *x)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < x->head.field_count; i++)
        count += !x->head.fields[i].underscore && is_late(&x->head.fields[i]);
    return count > PREPARED_LATE_MAX;
}

int prepared_make(struct prepared_table *table, struct prepared *row, const struct template *t, const struct exchange *x,
                  PyObject *env, struct input *input, bool path_is_target)
{
    int status;

    if (!template_has_method(t, x->head.method) || has_many_late(x))
        return 0;
    row->dict = PyDict_Copy(env);
    row->method = Py_XNewRef(PyDict_GetItemWithError(env, t->keys[ENVIRON_REQUEST_METHOD]));
    status = row->dict != NULL && row->method != NULL ? set_late(table, row, t, x) : -1;
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
