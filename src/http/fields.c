/* SPDX-License-Identifier: MIT */
/*
 * The field names that are known: one row each, and the way from a name to its row.
 *
 * The lookup is a perfect hash of length, first and last but one character, made by the compiler from
 * `slots`: a new row that collides with another one is a warning there, hence an error, and wants other
 * factors in SLOT. One comparison then decides. It ignores case by setting bit 5 of every byte: names in
 * the table hold nothing but letters and '-', and no other token character becomes one of these.
 */
#include "cserve/head.h"

#define ROW(name, cgi) {{name, sizeof(name) - 1}, {cgi, sizeof(cgi) - 1}}

const struct http_field_info http_field_table[HTTP_FIELD_COUNT] = {
    [HTTP_FIELD_OTHER] = ROW("", ""),
    [HTTP_FIELD_ACCEPT] = ROW("accept", "HTTP_ACCEPT"),
    [HTTP_FIELD_ACCEPT_CHARSET] = ROW("accept-charset", "HTTP_ACCEPT_CHARSET"),
    [HTTP_FIELD_ACCEPT_ENCODING] = ROW("accept-encoding", "HTTP_ACCEPT_ENCODING"),
    [HTTP_FIELD_ACCEPT_LANGUAGE] = ROW("accept-language", "HTTP_ACCEPT_LANGUAGE"),
    [HTTP_FIELD_ACCESS_CONTROL_REQUEST_HEADERS] =
        ROW("access-control-request-headers", "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"),
    [HTTP_FIELD_ACCESS_CONTROL_REQUEST_METHOD] =
        ROW("access-control-request-method", "HTTP_ACCESS_CONTROL_REQUEST_METHOD"),
    [HTTP_FIELD_AUTHORIZATION] = ROW("authorization", "HTTP_AUTHORIZATION"),
    [HTTP_FIELD_CACHE_CONTROL] = ROW("cache-control", "HTTP_CACHE_CONTROL"),
    [HTTP_FIELD_CONNECTION] = ROW("connection", "HTTP_CONNECTION"),
    [HTTP_FIELD_CONTENT_ENCODING] = ROW("content-encoding", "HTTP_CONTENT_ENCODING"),
    [HTTP_FIELD_CONTENT_LENGTH] = ROW("content-length", "CONTENT_LENGTH"),
    [HTTP_FIELD_CONTENT_TYPE] = ROW("content-type", "CONTENT_TYPE"),
    [HTTP_FIELD_COOKIE] = ROW("cookie", "HTTP_COOKIE"),
    [HTTP_FIELD_DATE] = ROW("date", "HTTP_DATE"),
    [HTTP_FIELD_DNT] = ROW("dnt", "HTTP_DNT"),
    [HTTP_FIELD_EXPECT] = ROW("expect", "HTTP_EXPECT"),
    [HTTP_FIELD_FORWARDED] = ROW("forwarded", "HTTP_FORWARDED"),
    [HTTP_FIELD_HOST] = ROW("host", "HTTP_HOST"),
    [HTTP_FIELD_IF_MATCH] = ROW("if-match", "HTTP_IF_MATCH"),
    [HTTP_FIELD_IF_MODIFIED_SINCE] = ROW("if-modified-since", "HTTP_IF_MODIFIED_SINCE"),
    [HTTP_FIELD_IF_NONE_MATCH] = ROW("if-none-match", "HTTP_IF_NONE_MATCH"),
    [HTTP_FIELD_IF_RANGE] = ROW("if-range", "HTTP_IF_RANGE"),
    [HTTP_FIELD_IF_UNMODIFIED_SINCE] = ROW("if-unmodified-since", "HTTP_IF_UNMODIFIED_SINCE"),
    [HTTP_FIELD_KEEP_ALIVE] = ROW("keep-alive", "HTTP_KEEP_ALIVE"),
    [HTTP_FIELD_ORIGIN] = ROW("origin", "HTTP_ORIGIN"),
    [HTTP_FIELD_PRAGMA] = ROW("pragma", "HTTP_PRAGMA"),
    [HTTP_FIELD_PRIORITY] = ROW("priority", "HTTP_PRIORITY"),
    [HTTP_FIELD_PROXY] = ROW("proxy", "HTTP_PROXY"),
    [HTTP_FIELD_PROXY_CONNECTION] = ROW("proxy-connection", "HTTP_PROXY_CONNECTION"),
    [HTTP_FIELD_RANGE] = ROW("range", "HTTP_RANGE"),
    [HTTP_FIELD_REFERER] = ROW("referer", "HTTP_REFERER"),
    [HTTP_FIELD_SEC_CH_UA] = ROW("sec-ch-ua", "HTTP_SEC_CH_UA"),
    [HTTP_FIELD_SEC_CH_UA_MOBILE] = ROW("sec-ch-ua-mobile", "HTTP_SEC_CH_UA_MOBILE"),
    [HTTP_FIELD_SEC_CH_UA_PLATFORM] = ROW("sec-ch-ua-platform", "HTTP_SEC_CH_UA_PLATFORM"),
    [HTTP_FIELD_SEC_FETCH_DEST] = ROW("sec-fetch-dest", "HTTP_SEC_FETCH_DEST"),
    [HTTP_FIELD_SEC_FETCH_MODE] = ROW("sec-fetch-mode", "HTTP_SEC_FETCH_MODE"),
    [HTTP_FIELD_SEC_FETCH_SITE] = ROW("sec-fetch-site", "HTTP_SEC_FETCH_SITE"),
    [HTTP_FIELD_SEC_FETCH_USER] = ROW("sec-fetch-user", "HTTP_SEC_FETCH_USER"),
    [HTTP_FIELD_SERVER] = ROW("server", "HTTP_SERVER"),
    [HTTP_FIELD_TE] = ROW("te", "HTTP_TE"),
    [HTTP_FIELD_TRAILER] = ROW("trailer", "HTTP_TRAILER"),
    [HTTP_FIELD_TRANSFER_ENCODING] = ROW("transfer-encoding", "HTTP_TRANSFER_ENCODING"),
    [HTTP_FIELD_UPGRADE] = ROW("upgrade", "HTTP_UPGRADE"),
    [HTTP_FIELD_UPGRADE_INSECURE_REQUESTS] =
        ROW("upgrade-insecure-requests", "HTTP_UPGRADE_INSECURE_REQUESTS"),
    [HTTP_FIELD_USER_AGENT] = ROW("user-agent", "HTTP_USER_AGENT"),
    [HTTP_FIELD_VIA] = ROW("via", "HTTP_VIA"),
    [HTTP_FIELD_X_CSRFTOKEN] = ROW("x-csrftoken", "HTTP_X_CSRFTOKEN"),
    [HTTP_FIELD_X_FORWARDED_FOR] = ROW("x-forwarded-for", "HTTP_X_FORWARDED_FOR"),
    [HTTP_FIELD_X_FORWARDED_HOST] = ROW("x-forwarded-host", "HTTP_X_FORWARDED_HOST"),
    [HTTP_FIELD_X_FORWARDED_PORT] = ROW("x-forwarded-port", "HTTP_X_FORWARDED_PORT"),
    [HTTP_FIELD_X_FORWARDED_PROTO] = ROW("x-forwarded-proto", "HTTP_X_FORWARDED_PROTO"),
    [HTTP_FIELD_X_REAL_IP] = ROW("x-real-ip", "HTTP_X_REAL_IP"),
    [HTTP_FIELD_X_REQUEST_ID] = ROW("x-request-id", "HTTP_X_REQUEST_ID"),
    [HTTP_FIELD_X_REQUESTED_WITH] = ROW("x-requested-with", "HTTP_X_REQUESTED_WITH"),
};

#define SLOT(len, first, last_but_one) (((len) + 11 * (first) + 30 * (last_but_one)) & 255)

static const uint8_t slots[256] = {
    [SLOT(6, 'a', 'p')] = HTTP_FIELD_ACCEPT,
    [SLOT(14, 'a', 'e')] = HTTP_FIELD_ACCEPT_CHARSET,
    [SLOT(15, 'a', 'n')] = HTTP_FIELD_ACCEPT_ENCODING,
    [SLOT(15, 'a', 'g')] = HTTP_FIELD_ACCEPT_LANGUAGE,
    [SLOT(30, 'a', 'r')] = HTTP_FIELD_ACCESS_CONTROL_REQUEST_HEADERS,
    [SLOT(29, 'a', 'o')] = HTTP_FIELD_ACCESS_CONTROL_REQUEST_METHOD,
    [SLOT(13, 'a', 'o')] = HTTP_FIELD_AUTHORIZATION,
    [SLOT(13, 'c', 'o')] = HTTP_FIELD_CACHE_CONTROL,
    [SLOT(10, 'c', 'o')] = HTTP_FIELD_CONNECTION,
    [SLOT(16, 'c', 'n')] = HTTP_FIELD_CONTENT_ENCODING,
    [SLOT(14, 'c', 't')] = HTTP_FIELD_CONTENT_LENGTH,
    [SLOT(12, 'c', 'p')] = HTTP_FIELD_CONTENT_TYPE,
    [SLOT(6, 'c', 'i')] = HTTP_FIELD_COOKIE,
    [SLOT(4, 'd', 't')] = HTTP_FIELD_DATE,
    [SLOT(3, 'd', 'n')] = HTTP_FIELD_DNT,
    [SLOT(6, 'e', 'c')] = HTTP_FIELD_EXPECT,
    [SLOT(9, 'f', 'e')] = HTTP_FIELD_FORWARDED,
    [SLOT(4, 'h', 's')] = HTTP_FIELD_HOST,
    [SLOT(8, 'i', 'c')] = HTTP_FIELD_IF_MATCH,
    [SLOT(17, 'i', 'c')] = HTTP_FIELD_IF_MODIFIED_SINCE,
    [SLOT(13, 'i', 'c')] = HTTP_FIELD_IF_NONE_MATCH,
    [SLOT(8, 'i', 'g')] = HTTP_FIELD_IF_RANGE,
    [SLOT(19, 'i', 'c')] = HTTP_FIELD_IF_UNMODIFIED_SINCE,
    [SLOT(10, 'k', 'v')] = HTTP_FIELD_KEEP_ALIVE,
    [SLOT(6, 'o', 'i')] = HTTP_FIELD_ORIGIN,
    [SLOT(6, 'p', 'm')] = HTTP_FIELD_PRAGMA,
    [SLOT(8, 'p', 't')] = HTTP_FIELD_PRIORITY,
    [SLOT(5, 'p', 'x')] = HTTP_FIELD_PROXY,
    [SLOT(16, 'p', 'o')] = HTTP_FIELD_PROXY_CONNECTION,
    [SLOT(5, 'r', 'g')] = HTTP_FIELD_RANGE,
    [SLOT(7, 'r', 'e')] = HTTP_FIELD_REFERER,
    [SLOT(9, 's', 'u')] = HTTP_FIELD_SEC_CH_UA,
    [SLOT(16, 's', 'l')] = HTTP_FIELD_SEC_CH_UA_MOBILE,
    [SLOT(18, 's', 'r')] = HTTP_FIELD_SEC_CH_UA_PLATFORM,
    [SLOT(14, 's', 's')] = HTTP_FIELD_SEC_FETCH_DEST,
    [SLOT(14, 's', 'd')] = HTTP_FIELD_SEC_FETCH_MODE,
    [SLOT(14, 's', 't')] = HTTP_FIELD_SEC_FETCH_SITE,
    [SLOT(14, 's', 'e')] = HTTP_FIELD_SEC_FETCH_USER,
    [SLOT(6, 's', 'e')] = HTTP_FIELD_SERVER,
    [SLOT(2, 't', 't')] = HTTP_FIELD_TE,
    [SLOT(7, 't', 'e')] = HTTP_FIELD_TRAILER,
    [SLOT(17, 't', 'n')] = HTTP_FIELD_TRANSFER_ENCODING,
    [SLOT(7, 'u', 'd')] = HTTP_FIELD_UPGRADE,
    [SLOT(25, 'u', 't')] = HTTP_FIELD_UPGRADE_INSECURE_REQUESTS,
    [SLOT(10, 'u', 'n')] = HTTP_FIELD_USER_AGENT,
    [SLOT(3, 'v', 'i')] = HTTP_FIELD_VIA,
    [SLOT(11, 'x', 'e')] = HTTP_FIELD_X_CSRFTOKEN,
    [SLOT(15, 'x', 'o')] = HTTP_FIELD_X_FORWARDED_FOR,
    [SLOT(16, 'x', 's')] = HTTP_FIELD_X_FORWARDED_HOST,
    [SLOT(16, 'x', 'r')] = HTTP_FIELD_X_FORWARDED_PORT,
    [SLOT(17, 'x', 't')] = HTTP_FIELD_X_FORWARDED_PROTO,
    [SLOT(9, 'x', 'i')] = HTTP_FIELD_X_REAL_IP,
    [SLOT(12, 'x', 'i')] = HTTP_FIELD_X_REQUEST_ID,
    [SLOT(16, 'x', 't')] = HTTP_FIELD_X_REQUESTED_WITH,
};

static uint64_t load64(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static uint32_t load32(const char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Bits in which 8 bytes of a token, made lower case, differ from `lower`. */
static uint64_t differ64(const char *token, const char *lower)
{
    return (load64(token) | 0x2020202020202020) ^ load64(lower);
}

static uint32_t differ32(const char *token, const char *lower)
{
    return (load32(token) | 0x20202020) ^ load32(lower);
}

/* Whether `token`, of any case, is `lower`: of letters and '-', and as long. Words overlap at the end. */
static bool matches(const char *token, const char *lower, size_t len)
{
    if (len >= 8) {
        uint64_t differ = differ64(token, lower) | differ64(token + len - 8, lower + len - 8);
        for (size_t i = 8; i + 8 < len; i += 8)
            differ |= differ64(token + i, lower + i);
        return differ == 0;
    }
    if (len >= 4)
        return (differ32(token, lower) | differ32(token + len - 4, lower + len - 4)) == 0;
    for (size_t i = 0; i < len; i++) {
        if ((token[i] | 0x20) != lower[i])
            return false;
    }
    return true;
}

enum http_field_id http_field_lookup(struct str name)
{
    if (name.len < 2)
        return HTTP_FIELD_OTHER;
    unsigned first = (unsigned char)name.ptr[0] | 0x20u;
    unsigned last_but_one = (unsigned char)name.ptr[name.len - 2] | 0x20u;
    enum http_field_id id = slots[SLOT((unsigned)name.len, first, last_but_one)];
    const struct str *known = &http_field_table[id].name;

    return known->len == name.len && matches(name.ptr, known->ptr, name.len) ? id : HTTP_FIELD_OTHER;
}
