/* SPDX-License-Identifier: MIT */
/*
 * What is answered to a request that is refused: status, a word for logs and metrics, and a text
 * for the person at the other end, who may well be typing the request by hand. The text says what was
 * wrong and what to send instead; it never quotes what the client sent.
 */
#include "cserve/head.h"

const struct http_error_info http_error_table[HTTP_ERROR_COUNT] = {
    [HTTP_OK] = {200, "ok", "Nothing is wrong."},
    [HTTP_BAD_LINE] = {400, "bad-line",
                       "The first line must be a method, a target and a version with one space between them, "
                       "such as: GET /hello HTTP/1.1"},
    [HTTP_BAD_METHOD] = {400, "bad-method",
                         "The method, the first word of the request, may hold letters, digits and "
                         "!#$%&'*+-.^_`|~ only, such as: GET"},
    [HTTP_BAD_TARGET] = {400, "bad-target",
                         "The target, the second word of the request, must be a path that begins with '/' or "
                         "a URL that begins with http:// or https://. Spaces, '#' and bytes outside ASCII "
                         "must be percent-encoded. '*' is for OPTIONS only."},
    [HTTP_BAD_CONNECT] = {501, "connect", "CONNECT asks for a tunnel, and this server is not a proxy."},
    [HTTP_BAD_VERSION] = {505, "bad-version",
                          "This server speaks HTTP/1.1 and HTTP/1.0: end the first line with HTTP/1.1"},
    [HTTP_BAD_PREFACE] =
        {505, "http2-preface",
         "This port speaks HTTP/1.1, not HTTP/2: configure the client to use HTTP/1.1 here."},
    [HTTP_BAD_TLS] = {400, "tls",
                      "This port speaks plain HTTP, not TLS: use http:// instead of https:// here."},
    [HTTP_BAD_LINE_END] = {400, "bad-line-end",
                           "Every line must end with CR LF, the two bytes 13 and 10, and neither may stand "
                           "alone. telnet sends both; with netcat use the option -C (or -c)."},
    [HTTP_BAD_FIELD_NAME] = {400, "bad-field-name",
                             "Each line behind the first one must be a name, a colon right behind it, and a "
                             "value, such as: Host: localhost"},
    [HTTP_BAD_FIELD_VALUE] = {400, "bad-field-value",
                              "The value of a header field holds a control character."},
    [HTTP_BAD_FOLD] = {400, "folded-field",
                       "A header line begins with a space or a tab: a field must be written on one line."},
    [HTTP_BAD_HOST_MISSING] =
        {400, "no-host",
         "A request in HTTP/1.1 must say which host it is for. Behind the first line type "
         "a line such as \"Host: localhost\", and then an empty line to end the request."},
    [HTTP_BAD_HOST_REPEATED] = {400, "repeated-host", "There must be one Host field, not several."},
    [HTTP_BAD_HOST] = {400, "bad-host",
                       "The Host field must be a name or an address, maybe with a port, such as: "
                       "Host: localhost:8888"},
    [HTTP_BAD_LENGTH] = {400, "bad-length",
                         "The Content-Length field must be the number of bytes in the content, digits only, "
                         "such as: Content-Length: 5"},
    [HTTP_BAD_LENGTH_REPEATED] = {400, "repeated-length",
                                  "There must be one Content-Length field with one number."},
    [HTTP_BAD_FRAMING] = {400, "ambiguous-length",
                          "Content-Length and Transfer-Encoding contradict each other: send one of them."},
    [HTTP_BAD_CODING] = {501, "bad-coding",
                         "The only transfer coding understood here is: Transfer-Encoding: chunked"},
    [HTTP_BAD_CODING_VERSION] = {400, "coding-in-1.0",
                                 "HTTP/1.0 has no Transfer-Encoding: send Content-Length, or use HTTP/1.1."},
    [HTTP_BAD_EXPECT] = {417, "bad-expect", "The only expectation understood here is: Expect: 100-continue"},
    [HTTP_LINE_TOO_LONG] = {414, "line-too-long",
                            "The first line of the request is longer than allowed here."},
    [HTTP_FIELD_TOO_LARGE] = {431, "field-too-large", "A header field is larger than allowed here."},
    [HTTP_TOO_MANY_FIELDS] = {431, "too-many-fields", "There are more header fields than allowed here."},
    [HTTP_HEAD_TOO_LARGE] = {431, "head-too-large",
                             "The header fields together are larger than allowed here."},
    [HTTP_BODY_TOO_LARGE] = {413, "body-too-large", "The content is larger than allowed here."},
    [HTTP_BAD_CHUNK_SIZE] = {400, "bad-chunk-size",
                             "A chunk must begin with its size, 1 to 16 hexadecimal digits, and CR LF."},
    [HTTP_BAD_CHUNK_EXT] = {400, "bad-chunk-extension",
                            "A chunk extension must be written as ;name or ;name=value, and end with CR LF."},
    [HTTP_CHUNK_EXT_TOO_LARGE] = {413, "chunk-extensions-too-large",
                                  "The chunk extensions are larger than allowed here."},
    [HTTP_BAD_CHUNK_END] = {400, "bad-chunk-end",
                            "A chunk must hold exactly as many bytes as its size says, and then CR LF."},
    [HTTP_BAD_TRAILER] = {400, "bad-trailer",
                          "A trailer must be written as a header field, and must not be one that says "
                          "how the message is framed, routed or to be handled."},
    [HTTP_TRAILER_TOO_LARGE] = {431, "trailers-too-large", "The trailers are larger than allowed here."},
};
