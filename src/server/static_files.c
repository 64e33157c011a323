/* SPDX-License-Identifier: MIT */
/*
 * Static files.
 *
 *     find (by prefix) → name (decoded, plain) → file (beneath its directory) → coding → conditions → ranges → sendfile
 *
 * A name that is not plain (empty parts, dots in front, an encoded slash, a backslash, NUL) is not there, whatever the disk
 * holds. Only regular files are sent. What a file is, is asked of its descriptor, so nothing can change in
 * between; and if it is changed or cut while it is sent, the connection is closed.
 *
 * The entity tag is made of the time of the last change, in nanoseconds, and the size. It is strong, so that ranges
 * can be put together again, unless the file was changed in the last two seconds: another change might not show then.
 */
#include "static_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cserve/clock.h"
#include "cserve/conditional.h"
#include "cserve/log.h"
#include "cserve/media.h"
#include "cserve/range.h"
#include "cserve/static_map.h"

#include "beneath.h"
#include "server_internal.h"

enum {
    SETTLED_S = 2,        /* so long ago a change was, if its time tells it from every other */
    BOUNDARY_BYTES = 16,
    COMPLAINT_MS = 10000,
    TYPES_MAX = 1 << 20,  /* a longer table of media types is none */
    NAME_ROOM = PATH_MAX, /* of a file, with the NUL */
    NAME_LEFT = 16,       /* of that, for "/index.html" and a coding's suffix */
};

#define INDEX "index.html"
#define METHODS "GET, HEAD, OPTIONS"

struct static_dir {
    struct str prefix; /* borrowed of the configuration */
    int fd;            /* owned */
    bool openat2;
};

struct static_files {
    struct media_types types;
    char cache_control[32]; /* "": no such field */
    int64_t complained_ms;  /* when last; 0: never */
    size_t count;
    struct static_dir dirs[]; /* the longest prefix first */
};

/* A file that is open, and what is to be known of it. */
struct file {
    int fd; /* owned; -1: none */
    struct stat stat;
};

/* A representation: a file, maybe that of another coding. */
struct found {
    struct file file;
    struct str name; /* of the file without the coding's suffix */
    enum media_coding coding;
    bool varies; /* there are several */
    char tag[64];
    char type[MEDIA_TYPE_MAX];
    struct str type_text;
    struct http_validators validators;
};

/* --- beginning and end ------------------------------------------------------------------------- */

static void read_types(struct media_types *types)
{
    char *text = mem_alloc(TYPES_MAX);
    int fd = open("/etc/mime.types", O_RDONLY | O_CLOEXEC);
    ssize_t got = 0;
    size_t len = 0;

    while (fd >= 0 && len < TYPES_MAX && (got = read(fd, text + len, TYPES_MAX - len)) > 0)
        len += (size_t)got;
    media_types_init(types, str_make(text, got == 0 ? len : 0));
    if (fd >= 0)
        close(fd);
    free(text);
}

static int compare_dirs(const void *a, const void *b)
{
    const struct static_dir *left = a, *right = b;

    return (left->prefix.len < right->prefix.len) - (left->prefix.len > right->prefix.len);
}

static int open_dir(struct static_dir *dir, const char *text)
{
    struct static_map map;
    char error[512];

    if (static_map_parse(&map, text, error, sizeof(error)) != 0) {
        log_error("--static: %s", error);
        return -1;
    }
    dir->prefix = map.prefix;
    dir->fd = open(map.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir->fd < 0) {
        log_error("--static %s: %s", text, strerror(errno));
        return -1;
    }
    dir->openat2 = beneath_has_openat2(dir->fd);
    return 0;
}

struct static_files *static_files_new(const struct server_config *config)
{
    struct static_files *files = mem_zalloc(sizeof(*files) + config->static_count * sizeof(files->dirs[0]));

    for (; files->count < config->static_count; files->count++) {
        if (open_dir(&files->dirs[files->count], config->static_maps[files->count]) != 0) {
            static_files_free(files);
            return NULL;
        }
    }
    qsort(files->dirs, files->count, sizeof(files->dirs[0]), compare_dirs);
    read_types(&files->types);
    if (config->static_max_age > 0)
        snprintf(files->cache_control, sizeof(files->cache_control), "max-age=%d", config->static_max_age);
    return files;
}

void static_files_free(struct static_files *files)
{
    if (files == NULL)
        return;
    for (size_t i = 0; i < files->count; i++)
        close(files->dirs[i].fd);
    media_types_release(&files->types);
    free(files);
}

const struct static_dir *static_files_find(const struct static_files *files, struct str path)
{
    for (size_t i = 0; i < files->count; i++) {
        struct str prefix = files->dirs[i].prefix;
        if (path.len >= prefix.len && memcmp(path.ptr, prefix.ptr, prefix.len) == 0 &&
            (path.len == prefix.len || path.ptr[prefix.len] == '/'))
            return &files->dirs[i];
    }
    return NULL;
}

/* --- answers without a file -------------------------------------------------------------------- */

static void add(struct exchange *x, struct str name, const char *value)
{
    exchange_field(x, name, str_make(value, strlen(value)));
}

/* Of no content, with one field. */
static void answer_empty(struct exchange *x, struct str status, struct str name, struct str value)
{
    exchange_status(x, status);
    exchange_field(x, name, value);
    exchange_commit(x, 0);
    exchange_finish(x);
}

/* Whether the method is answered otherwise than with a file. */
static bool answer_method(struct exchange *x)
{
    struct str method = x->head.method;

    if (str_equal(method, STR("GET")) || str_equal(method, STR("HEAD")))
        return false;
    answer_empty(x, str_equal(method, STR("OPTIONS")) ? STR("204 No Content") : STR("405 Method Not Allowed"),
                 STR("Allow"), STR(METHODS));
    return true;
}

/* A client can ask for many files in the time that one line takes. */
static void complain(struct static_files *files)
{
    int64_t now_ms = clock_ms();

    if (files->complained_ms != 0 && now_ms - files->complained_ms < COMPLAINT_MS)
        return;
    files->complained_ms = now_ms;
    log_error("cannot open a static file: %s", strerror(errno));
}

/* What a file cannot be sent for; errno says it. */
static void answer_error(struct exchange *x)
{
    struct request *r = request_of(x);

    switch (errno) {
    case EACCES:
    case EPERM:
        exchange_answer(r, 403, "The server may not read this file.");
        break;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EIO:
    case EAGAIN: /* another program has a lease on it */
        complain(r->connection->server->files);
        exchange_answer(r, 503, "The server could not open this file. Try again later.");
        break;
    default:
        exchange_answer(r, 404, "There is no such file.");
    }
}

/* To the same path with a slash behind it. It begins with a prefix, so it cannot name another host. */
static void answer_redirect(struct exchange *x)
{
    struct buf location;

    buf_init(&location);
    buf_append_str(&location, x->head.uri.path);
    buf_append_str(&location, STR("/"));
    if (x->head.uri.query.len > 0) {
        buf_append_str(&location, STR("?"));
        buf_append_str(&location, x->head.uri.query);
    }
    answer_empty(x, STR("301 Moved Permanently"), STR("Location"), str_make(location.data, location.len));
    buf_release(&location);
}

/* --- names ------------------------------------------------------------------------------------- */

static size_t count_slashes(const char *text, size_t len)
{
    size_t count = 0;

    for (size_t i = 0; i < len; i++)
        count += text[i] == '/';
    return count;
}

/* Whether no part is empty, but for the last, or begins with a dot, and no byte means something to another system. */
static bool is_plain(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool begins = i == 0 || name[i - 1] == '/';
        if (name[i] == '\0' || name[i] == '\\' || (begins && (name[i] == '.' || name[i] == '/')))
            return false;
    }
    return true;
}

/* Decodes what is behind "/PREFIX/" into a name with a NUL behind it. -1: no file has such a name. */
static int take_name(char name[NAME_ROOM], struct str rest, size_t *len)
{
    if (rest.len >= NAME_ROOM - NAME_LEFT)
        return -1;
    *len = http_percent_decode(name, rest);
    if (count_slashes(name, *len) != count_slashes(rest.ptr, rest.len) || !is_plain(name, *len))
        return -1;
    name[*len] = '\0';
    return 0;
}

/* --- files ------------------------------------------------------------------------------------- */

static void close_file(struct file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

/* Opens what has this name, whatever it is. 0, or -1 with errno. */
static int open_any(struct file *file, const struct static_dir *dir, const char *name)
{
    file->fd = beneath_open(dir->fd, name, dir->openat2);
    if (file->fd < 0)
        return -1;
    return fstat(file->fd, &file->stat);
}

static int open_regular(struct file *file, const struct static_dir *dir, const char *name)
{
    if (open_any(file, dir, name) == 0 && S_ISREG(file->stat.st_mode))
        return 0;
    if (file->fd >= 0)
        errno = ENOENT;
    close_file(file);
    return -1;
}

static int open_index(struct file *file, const struct static_dir *dir, char *name, size_t *len)
{
    memcpy(name + *len, INDEX, sizeof(INDEX));
    *len += strlen(INDEX);
    return open_regular(file, dir, name);
}

enum named { NAMED_FILE, NAMED_DIRECTORY, NAMED_NOTHING };

/*
 * Opens the file of this name, or the index of the directory that it names with a slash behind it; `name` is then the index's.
 * NAMED_DIRECTORY: it has an index, but that slash is missing. NAMED_NOTHING: errno says why.
 */
static enum named open_named(struct file *file, const struct static_dir *dir, char *name, size_t *len, bool slash)
{
    if (slash)
        return open_index(file, dir, name, len) == 0 ? NAMED_FILE : NAMED_NOTHING;
    if (*len > 0) {
        if (open_any(file, dir, name) != 0)
            return NAMED_NOTHING;
        if (S_ISREG(file->stat.st_mode))
            return NAMED_FILE;
        errno = ENOENT;
        if (!S_ISDIR(file->stat.st_mode))
            return NAMED_NOTHING;
        close_file(file);
        name[(*len)++] = '/';
    }
    return open_index(file, dir, name, len) == 0 ? NAMED_DIRECTORY : NAMED_NOTHING;
}

/* Whether the name is that of a file that is coded already. */
static bool is_coded(struct str name)
{
    return name.len > 3 && (memcmp(name.ptr + name.len - 3, ".gz", 3) == 0 || memcmp(name.ptr + name.len - 3, ".br", 3) == 0);
}

/* Takes the file's place for the coding that the client prefers. One that is older than the file holds something else. */
static void choose_coding(struct found *found, const struct static_dir *dir, char *name, const struct exchange *x)
{
    struct file siblings[MEDIA_IDENTITY];
    size_t len = found->name.len;
    unsigned available = 0;

    found->coding = MEDIA_IDENTITY;
    if (is_coded(found->name))
        return;
    for (int coding = 0; coding < MEDIA_IDENTITY; coding++) {
        const char *suffix = media_coding_table[coding].suffix;
        memcpy(name + len, suffix, strlen(suffix) + 1);
        if (open_regular(&siblings[coding], dir, name) == 0 &&
            siblings[coding].stat.st_mtim.tv_sec >= found->file.stat.st_mtim.tv_sec)
            available |= 1u << coding;
    }
    name[len] = '\0';
    found->varies = available != 0;
    if (found->varies)
        found->coding = media_coding_choose(&x->head, x->raw, available);
    for (int coding = 0; coding < MEDIA_IDENTITY; coding++) {
        if (found->coding == (enum media_coding)coding) {
            close_file(&found->file);
            found->file = siblings[coding];
        } else {
            close_file(&siblings[coding]);
        }
    }
}

/* Finds out what the head says of the file. */
static void describe(struct found *found, const struct static_files *files)
{
    const struct timespec *changed = &found->file.stat.st_mtim;
    struct str coding = media_coding_table[found->coding].name;
    int64_t now = clock_wall(), when = changed->tv_sec < 0 ? 0 : changed->tv_sec;
    int len = snprintf(found->tag, sizeof(found->tag), "\"%" PRIx64 ".%lx-%" PRIx64 "%s%.*s\"",
                       (uint64_t)changed->tv_sec, changed->tv_nsec, (uint64_t)found->file.stat.st_size,
                       coding.len > 0 ? "-" : "", (int)coding.len, coding.ptr);

    found->type_text = media_type_of(&files->types, found->name, found->type);
    found->validators = (struct http_validators){
        .tag = str_make(found->tag, (size_t)len),
        .weak = now - when < SETTLED_S,
        .modified = when < now ? when : now,
    };
}

/* --- sending ----------------------------------------------------------------------------------- */

/* The fields that every answer with this file has, also 304. */
static void add_fields(struct exchange *x, const struct static_files *files, const struct found *found)
{
    char text[sizeof(found->tag) + 2], date[HTTP_DATE_LEN];

    snprintf(text, sizeof(text), "%s%s", found->validators.weak ? "W/" : "", found->tag);
    add(x, STR("ETag"), text);
    http_date_format(date, found->validators.modified);
    exchange_field(x, STR("Last-Modified"), str_make(date, sizeof(date)));
    if (found->varies)
        exchange_field(x, STR("Vary"), STR("Accept-Encoding"));
    if (files->cache_control[0] != '\0')
        add(x, STR("Cache-Control"), files->cache_control);
}

static void add_content_fields(struct exchange *x, const struct found *found, struct str type, uint64_t length)
{
    char digits[24];

    exchange_field(x, STR("Content-Type"), type);
    if (found->coding != MEDIA_IDENTITY)
        exchange_field(x, STR("Content-Encoding"), media_coding_table[found->coding].name);
    exchange_field(x, STR("Accept-Ranges"), STR("bytes"));
    snprintf(digits, sizeof(digits), "%" PRIu64, length);
    add(x, STR("Content-Length"), digits); /* by hand, since a HEAD for an empty file has one, too */
}

/* Whether a piece of a file is copied rather than sent by its descriptor: then a client that pipelines holds few. */
static bool is_small(uint64_t len)
{
    return len <= COPY_BELOW;
}

/* False: the file shrank, so that nothing must follow, and the answer ends short. */
static bool send_small(struct exchange *x, const struct found *found, uint64_t first, uint64_t len)
{
    char bytes[COPY_BELOW];
    ssize_t got;

    if (x->response.framing == HTTP_FRAMING_NONE)
        return true;
    got = pread(found->file.fd, bytes, (size_t)len, (off_t)first);
    exchange_write(x, str_make(bytes, got < 0 ? 0 : (size_t)got), NULL);
    return got == (ssize_t)len;
}

/* Commits and sends one piece of the file, which may take its descriptor. */
static void send_piece(struct exchange *x, struct found *found, uint64_t first, uint64_t len)
{
    exchange_commit(x, (int64_t)len);
    if (is_small(len)) {
        send_small(x, found, first, len);
    } else {
        exchange_send_unchanged(x, found->file.fd, (off_t)first, len, &found->file.stat.st_mtim);
        found->file.fd = -1;
    }
    exchange_finish(x);
}

static void send_whole(struct exchange *x, const struct static_files *files, struct found *found)
{
    uint64_t size = (uint64_t)found->file.stat.st_size;

    exchange_status(x, STR("200 OK"));
    add_fields(x, files, found);
    add_content_fields(x, found, found->type_text, size);
    send_piece(x, found, 0, size);
}

static void format_range(char *out, size_t cap, const struct http_range *range, uint64_t size)
{
    snprintf(out, cap, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->first, range->first + range->len - 1, size);
}

static void send_range(struct exchange *x, const struct static_files *files, struct found *found,
                       const struct http_range *range)
{
    char text[80];

    exchange_status(x, STR("206 Partial Content"));
    add_fields(x, files, found);
    add_content_fields(x, found, found->type_text, range->len);
    format_range(text, sizeof(text), range, (uint64_t)found->file.stat.st_size);
    add(x, STR("Content-Range"), text);
    send_piece(x, found, range->first, range->len);
}

/* What stands before, between and behind the parts of several ranges. */
struct parts {
    size_t count;
    int fds[HTTP_RANGES_MAX];       /* owned: a descriptor for each part; -1: it is small */
    size_t ends[HTTP_RANGES_MAX];   /* where in `text` the head of each part ends */
    struct buf text;                /* owned */
    uint64_t total;                 /* length of all */
    char boundary[2 * BOUNDARY_BYTES + 1];
};

static void make_boundary(struct parts *parts)
{
    unsigned char chance[BOUNDARY_BYTES] = {0};

    if (getrandom(chance, sizeof(chance), GRND_NONBLOCK) < 0)
        snprintf((char *)chance, sizeof(chance), "%" PRIx64, (uint64_t)clock_us());
    for (size_t i = 0; i < sizeof(chance); i++)
        snprintf(parts->boundary + 2 * i, 3, "%02x", chance[i]);
}

/* 0, or -1: there are not enough descriptors. */
static int parts_begin(struct parts *parts, const struct found *found, const struct http_ranges *ranges)
{
    char range[80];

    *parts = (struct parts){0};
    make_boundary(parts);
    for (; parts->count < ranges->count; parts->count++) {
        const struct http_range *part = &ranges->at[parts->count];
        bool small = is_small(part->len);
        parts->fds[parts->count] = small ? -1 : fcntl(found->file.fd, F_DUPFD_CLOEXEC, 0);
        if (!small && parts->fds[parts->count] < 0)
            return -1;
        format_range(range, sizeof(range), part, (uint64_t)found->file.stat.st_size);
        buf_printf(&parts->text, "\r\n--%s\r\nContent-Type: %.*s\r\nContent-Range: %s\r\n\r\n", parts->boundary,
                   (int)found->type_text.len, found->type_text.ptr, range);
        parts->ends[parts->count] = parts->text.len;
        parts->total += part->len;
    }
    buf_printf(&parts->text, "\r\n--%s--\r\n", parts->boundary);
    parts->total += parts->text.len;
    return 0;
}

static void parts_end(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        if (parts->fds[i] >= 0)
            close(parts->fds[i]);
    }
    buf_release(&parts->text);
}

/* The content of one of them. As send_small. */
static bool send_part(struct exchange *x, const struct found *found, int *fd, const struct http_range *range)
{
    int owned = *fd;

    if (owned < 0)
        return send_small(x, found, range->first, range->len);
    *fd = -1;
    exchange_send_unchanged(x, owned, (off_t)range->first, range->len, &found->file.stat.st_mtim);
    return true;
}

static void send_parts(struct exchange *x, const struct found *found, struct parts *parts,
                       const struct http_ranges *ranges)
{
    bool sound = true;
    size_t at = 0;

    exchange_commit(x, (int64_t)parts->total);
    for (size_t i = 0; i < parts->count && sound; i++) {
        exchange_write(x, str_make(parts->text.data + at, parts->ends[i] - at), NULL);
        at = parts->ends[i];
        sound = send_part(x, found, &parts->fds[i], &ranges->at[i]);
    }
    if (sound)
        exchange_write(x, str_make(parts->text.data + at, parts->text.len - at), NULL);
    exchange_finish(x);
}

/*
 * Several ranges. Everything where descriptors run short, which a client must expect; and of a coded file, since clients
 * disagree on whether parts or their whole are to be decoded.
 */
static void send_ranges(struct exchange *x, const struct static_files *files, struct found *found,
                        const struct http_ranges *ranges)
{
    char type[sizeof("multipart/byteranges; boundary=") + 2 * BOUNDARY_BYTES];
    struct parts parts;

    if (found->coding != MEDIA_IDENTITY) {
        send_whole(x, files, found);
        return;
    }
    if (parts_begin(&parts, found, ranges) != 0) {
        send_whole(x, files, found);
    } else {
        exchange_status(x, STR("206 Partial Content"));
        add_fields(x, files, found);
        snprintf(type, sizeof(type), "multipart/byteranges; boundary=%s", parts.boundary);
        add_content_fields(x, found, str_make(type, strlen(type)), parts.total);
        send_parts(x, found, &parts, ranges);
    }
    parts_end(&parts);
}

static void send_unsatisfiable(struct exchange *x, uint64_t size)
{
    char text[40];
    int len = snprintf(text, sizeof(text), "bytes */%" PRIu64, size);

    answer_empty(x, STR("416 Range Not Satisfiable"), STR("Content-Range"), str_make(text, (size_t)len));
}

static void send_unchanged(struct exchange *x, const struct static_files *files, const struct found *found)
{
    exchange_status(x, STR("304 Not Modified"));
    add_fields(x, files, found);
    exchange_commit(x, 0);
    exchange_finish(x);
}

/* What the client asks for of the file: RFC 9110 defines Range for GET alone. */
static void send_wanted(struct exchange *x, const struct static_files *files, struct found *found)
{
    struct str range = STR("");
    struct http_ranges ranges = {.count = 0};
    uint64_t size = (uint64_t)found->file.stat.st_size;
    enum http_range_verdict verdict;

    if (str_equal(x->head.method, STR("GET")))
        range = http_range_wanted(&x->head, x->raw, &found->validators);
    verdict = http_ranges_parse(&ranges, range, size);
    if (verdict == HTTP_RANGE_UNSATISFIABLE)
        send_unsatisfiable(x, size);
    else if (verdict == HTTP_RANGE_IGNORED)
        send_whole(x, files, found);
    else if (ranges.count == 1)
        send_range(x, files, found, &ranges.at[0]);
    else
        send_ranges(x, files, found, &ranges);
}

static void send_found(struct exchange *x, const struct static_files *files, struct found *found)
{
    switch (http_preconditions(&x->head, x->raw, &found->validators)) {
    case HTTP_PRECONDITION_FAILED:
        exchange_answer(request_of(x), 412, "The file is not the one that the request was made for.");
        break;
    case HTTP_UNCHANGED:
        send_unchanged(x, files, found);
        break;
    case HTTP_PROCEED:
        send_wanted(x, files, found);
        break;
    }
}

void static_files_answer(const struct static_files *files, const struct static_dir *dir, struct exchange *x)
{
    struct str path = x->head.uri.path;
    bool root = path.len == dir->prefix.len; /* "/static", without a slash behind it */
    struct str rest = str_make(path.ptr + dir->prefix.len + !root, path.len - dir->prefix.len - !root);
    struct found found = {.file = {.fd = -1}};
    enum named named = NAMED_NOTHING;
    char name[NAME_ROOM];
    size_t len;

    if (answer_method(x))
        return;
    errno = ENOENT;
    if (take_name(name, rest, &len) == 0)
        named = open_named(&found.file, dir, name, &len, !root && (len == 0 || name[len - 1] == '/'));
    if (named == NAMED_DIRECTORY) {
        answer_redirect(x);
    } else if (named == NAMED_NOTHING) {
        answer_error(x);
    } else {
        found.name = str_make(name, len);
        choose_coding(&found, dir, name, x);
        describe(&found, files);
        send_found(x, files, &found);
    }
    close_file(&found.file);
}
