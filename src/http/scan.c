/* SPDX-License-Identifier: MIT */
/*
 * Finding the end of a token, a value or a target.
 *
 * Three kinds that give the same results: byte by byte through scan_table; 16 bytes at a time (SSE4.2);
 * 32 bytes at a time (AVX2). The wide ones load only what lies in the range: a rest that is shorter than a
 * load is loaded as two halves that overlap. All kinds are compiled into every x86-64 build, whatever the
 * machine that builds; scan_init chooses by the processor that runs.
 */
#include "cserve/scan.h"

/* The combinations of classes that occur. */
#define V SCAN_VALUE
#define U (SCAN_VALUE | SCAN_TARGET)
#define H (SCAN_VALUE | SCAN_TARGET | SCAN_HOST)
#define N (SCAN_VALUE | SCAN_TOKEN)
#define K (SCAN_VALUE | SCAN_TOKEN | SCAN_TARGET)
#define A (SCAN_VALUE | SCAN_TOKEN | SCAN_TARGET | SCAN_HOST)

/* clang-format off */
const uint8_t scan_table[256] = {
    /* 00 */ 0, 0, 0, 0, 0, 0, 0, 0, 0, V, 0, 0, 0, 0, 0, 0,
    /* 10 */ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* 20 */ V, A, U, N, A, K, A, A, H, H, A, A, H, A, A, U,
    /* 30 */ A, A, A, A, A, A, A, A, A, A, U, H, U, H, U, U,
    /* 40 */ U, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    /* 50 */ A, A, A, A, A, A, A, A, A, A, A, U, U, U, K, A,
    /* 60 */ K, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A,
    /* 70 */ A, A, A, A, A, A, A, A, A, A, A, U, K, U, A, 0,
    /* 80 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* 90 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* A0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* B0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* C0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* D0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* E0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
    /* F0 */ V, V, V, V, V, V, V, V, V, V, V, V, V, V, V, V,
};
/* clang-format on */

static const char *scan_bytes(const char *p, const char *end, enum scan_class class)
{
    while (p < end && scan_is((unsigned char)*p, class))
        p++;
    return p;
}

static const char *token_portable(const char *p, const char *end)
{
    return scan_bytes(p, end, SCAN_TOKEN);
}

static const char *value_portable(const char *p, const char *end)
{
    return scan_bytes(p, end, SCAN_VALUE);
}

static const char *target_portable(const char *p, const char *end)
{
    return scan_bytes(p, end, SCAN_TARGET);
}

struct scan_functions {
    const char *(*token)(const char *p, const char *end);
    const char *(*value)(const char *p, const char *end);
    const char *(*target)(const char *p, const char *end);
};

static const struct scan_functions portable = {token_portable, value_portable, target_portable};

#if defined(__x86_64__)
#include <immintrin.h>

#define SSE42  __attribute__((target("sse4.2")))
#define AVX2   __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline))

/*
 * Token characters by nibbles: the byte 0xhl is one if bit h of token_by_low[l] is set. pshufb gives 0 where
 * the top bit of its index is set, so no byte above 0x7f is one.
 */
static const uint8_t token_by_low[16] = {0xe8, 0xfc, 0xf8, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc,
                                         0xf8, 0xf8, 0xf4, 0x54, 0xd0, 0x54, 0xf4, 0x70};
static const uint8_t bit_of_high[16] = {1, 2, 4, 8, 16, 32, 64, 128};

/* Each of these six gives a bit for every byte that is not of the class. */

SSE42 INLINE uint32_t not_token16(__m128i bytes)
{
    __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(0x0f));
    __m128i by_low = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)token_by_low), bytes);
    __m128i by_high = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)bit_of_high), high);
    __m128i bad = _mm_cmpeq_epi8(_mm_and_si128(by_low, by_high), _mm_setzero_si128());
    return (uint32_t)_mm_movemask_epi8(bad);
}

SSE42 INLINE uint32_t not_value16(__m128i bytes)
{
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}

SSE42 INLINE uint32_t not_target16(__m128i bytes)
{
    __m128i low = _mm_cmpgt_epi8(_mm_set1_epi8(0x21), bytes); /* signed: bytes above 0x7f as well */
    __m128i hash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('#'));
    __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, hash), del));
}

AVX2 INLINE uint32_t not_token32(__m256i bytes)
{
    __m256i low_table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)token_by_low));
    __m256i high_table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)bit_of_high));
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
    __m256i by_low = _mm256_shuffle_epi8(low_table, bytes);
    __m256i by_high = _mm256_shuffle_epi8(high_table, high);
    __m256i bad = _mm256_cmpeq_epi8(_mm256_and_si256(by_low, by_high), _mm256_setzero_si256());
    return (uint32_t)_mm256_movemask_epi8(bad);
}

AVX2 INLINE uint32_t not_value32(__m256i bytes)
{
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes);
    __m256i tab = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\t'));
    __m256i del = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x7f));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_andnot_si256(tab, control), del));
}

AVX2 INLINE uint32_t not_target32(__m256i bytes)
{
    __m256i low = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x21), bytes);
    __m256i hash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('#'));
    __m256i del = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x7f));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(low, hash), del));
}

typedef uint32_t not_of_class16(__m128i bytes);
typedef uint32_t not_of_class32(__m256i bytes);

/* The last bytes of a range, fewer than 16. */
SSE42 INLINE const char *scan_rest(const char *p, const char *end, not_of_class16 *bad16,
                                   enum scan_class class)
{
    ptrdiff_t len = end - p;
    if (len < 8)
        return scan_bytes(p, end, class);
    __m128i first = _mm_loadl_epi64((const __m128i *)p);
    __m128i last = _mm_loadl_epi64((const __m128i *)(end - 8));
    uint32_t bad = bad16(_mm_unpacklo_epi64(first, last));
    if (bad == 0)
        return end;
    return bad & 0xff ? p + __builtin_ctz(bad) : end - 16 + __builtin_ctz(bad);
}

SSE42 INLINE const char *scan16(const char *p, const char *end, not_of_class16 *bad16, enum scan_class class)
{
    for (; end - p >= 16; p += 16) {
        uint32_t bad = bad16(_mm_loadu_si128((const __m128i *)p));
        if (bad)
            return p + __builtin_ctz(bad);
    }
    return scan_rest(p, end, bad16, class);
}

AVX2 INLINE const char *scan32(const char *p, const char *end, not_of_class32 *bad32, not_of_class16 *bad16,
                               enum scan_class class)
{
    for (; end - p >= 32; p += 32) {
        uint32_t bad = bad32(_mm256_loadu_si256((const __m256i *)p));
        if (bad)
            return p + __builtin_ctz(bad);
    }
    return scan16(p, end, bad16, class);
}

SSE42 static const char *token_sse42(const char *p, const char *end)
{
    return scan16(p, end, not_token16, SCAN_TOKEN);
}

SSE42 static const char *value_sse42(const char *p, const char *end)
{
    return scan16(p, end, not_value16, SCAN_VALUE);
}

SSE42 static const char *target_sse42(const char *p, const char *end)
{
    return scan16(p, end, not_target16, SCAN_TARGET);
}

AVX2 static const char *token_avx2(const char *p, const char *end)
{
    return scan32(p, end, not_token32, not_token16, SCAN_TOKEN);
}

AVX2 static const char *value_avx2(const char *p, const char *end)
{
    return scan32(p, end, not_value32, not_value16, SCAN_VALUE);
}

AVX2 static const char *target_avx2(const char *p, const char *end)
{
    return scan32(p, end, not_target32, not_target16, SCAN_TARGET);
}

static const struct scan_functions sse42 = {token_sse42, value_sse42, target_sse42};
static const struct scan_functions avx2 = {token_avx2, value_avx2, target_avx2};

/* NULL where the processor cannot run it. */
static const struct scan_functions *find_kind(enum scan_kind kind)
{
    switch (kind) {
    case SCAN_AVX2:
        return __builtin_cpu_supports("avx2") ? &avx2 : NULL;
    case SCAN_SSE42:
        return __builtin_cpu_supports("sse4.2") ? &sse42 : NULL;
    case SCAN_PORTABLE:
        break;
    }
    return &portable;
}
#else
static const struct scan_functions *find_kind(enum scan_kind kind)
{
    return kind == SCAN_PORTABLE ? &portable : NULL;
}
#endif

static struct scan_functions chosen = {token_portable, value_portable, target_portable};

const char *scan_token(const char *p, const char *end)
{
    return chosen.token(p, end);
}

const char *scan_value(const char *p, const char *end)
{
    return chosen.value(p, end);
}

const char *scan_target(const char *p, const char *end)
{
    return chosen.target(p, end);
}

bool scan_use(enum scan_kind kind)
{
    const struct scan_functions *functions = find_kind(kind);
    if (functions == NULL)
        return false;
    chosen = *functions;
    return true;
}

void scan_init(void)
{
    if (!scan_use(SCAN_AVX2) && !scan_use(SCAN_SSE42))
        scan_use(SCAN_PORTABLE);
}
