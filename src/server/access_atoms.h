/* SPDX-License-Identifier: MIT */
/* The atoms of access log formats: what there is to say of a request, and how each is written. */
#ifndef CSERVE_ACCESS_ATOMS_H
#define CSERVE_ACCESS_ATOMS_H

#include "cserve/access_format.h"

/* A line that is being written. */
struct access_line {
    struct buf *out;
    const struct access_entry *entry;
    const struct access_stamps *stamps;
    bool json; /* texts get quotes, what there is not is null; else that is - */
};

typedef void access_add(const struct access_line *line, const struct access_piece *piece);

struct access_piece {
    struct str before;     /* a literal, which comes first */
    access_add *add;       /* NULL: that is all */
    struct str name;       /* of a field */
    enum http_field_id id; /* of a request field */
    unsigned slot;         /* of a response field, in access_entry.kept */
    char *owned;           /* what `name` is a view of, if it has one */
};

struct access_atom {
    const char *name;      /* gunicorn's; NULL: it has none */
    const char *long_name; /* ours; NULL: there is only the other */
    const char *key;       /* the same as a key of JSON, with a comma before it: ,"status": */
    access_add *add;
    bool needs_times;
};

/* In the order of the keys in JSON, where all that have a long name are. The last row has no `add`. */
extern const struct access_atom access_atoms[];

/* A key of environ whose value the server knows without Python. */
struct access_variable {
    const char *name;
    access_add *add;
};

extern const struct access_variable access_variables[]; /* the last has no name */

access_add access_add_request_field;  /* of the name, or the id */
access_add access_add_response_field; /* the one that was kept in piece->slot */

#endif
