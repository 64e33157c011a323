/* SPDX-License-Identifier: MIT */
/*
 * Dates as HTTP writes them (IMF-fixdate, RFC 9110, 5.6.7), and reads them (that, and the two older forms). Computed
 * here, since gmtime, strftime and strptime know of time zones and locales, and HTTP does not.
 */
#include "cserve/response.h"

#include <string.h>

struct civil {
    unsigned year, month, day; /* month from 0, day from 1 */
};

/*
 * The Gregorian date `days` after 1970-01-01. Counts in years that begin in March, so that the leap day is
 * the last of its year and of its 400-year era, whose length is the same each time: 146097 days.
 */
static struct civil civil_from_days(uint64_t days)
{
    uint64_t since_march_0 = days + 719468;
    unsigned era = (unsigned)(since_march_0 / 146097);
    unsigned day = (unsigned)(since_march_0 % 146097);
    unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    unsigned day_of_year = day - (365 * year + year / 4 - year / 100);
    unsigned march_month = (5 * day_of_year + 2) / 153;
    unsigned month = (march_month + 2) % 12;

    return (struct civil){
        .year = 400 * era + year + (month < 2),
        .month = month,
        .day = day_of_year - (153 * march_month + 2) / 5 + 1,
    };
}

static void two_digits(char *out, unsigned value)
{
    out[0] = (char)('0' + value / 10 % 10);
    out[1] = (char)('0' + value % 10);
}

void http_date_format(char out[HTTP_DATE_LEN], int64_t when)
{
    static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const int64_t last = 253402300799; /* 9999-12-31 23:59:59 */

    uint64_t seconds = when < 0 ? 0 : (uint64_t)(when > last ? last : when);
    uint64_t days = seconds / 86400;
    unsigned second = (unsigned)(seconds % 86400);
    struct civil date = civil_from_days(days);

    memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_LEN);
    memcpy(out, weekdays + 3 * (days % 7), 3);
    two_digits(out + 5, date.day);
    memcpy(out + 8, months + 3 * (size_t)date.month, 3);
    two_digits(out + 12, date.year / 100);
    two_digits(out + 14, date.year % 100);
    two_digits(out + 17, second / 3600);
    two_digits(out + 20, second / 60 % 60);
    two_digits(out + 23, second % 60);
}

/* --- reading ----------------------------------------------------------------------------------- */

/* The forms: a letter of part_letters stands for a digit, @ for a letter of the month, w for one of the
 * weekday, all else for itself. */
static const char *const date_forms[] = {
    "www, DD @@@ YYYY hh:mm:ss GMT", /* IMF-fixdate */
    "www, DD-@@@-YY hh:mm:ss GMT",   /* RFC 850, its weekday cut to three letters */
    "www @@@ DD hh:mm:ss YYYY",      /* asctime */
};

enum part { PART_DAY, PART_MONTH, PART_YEAR, PART_HOUR, PART_MINUTE, PART_SECOND, PARTS };

static const char part_letters[] = "D@Yhms"; /* of enum part */

/* 1 to 12, or 0. */
static unsigned month_of(const char *name)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (unsigned i = 0; i < 12; i++) {
        if (memcmp(months + 3 * (size_t)i, name, 3) == 0)
            return i + 1;
    }
    return 0;
}

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Takes one byte by one of a form; a blank may stand for the first digit of asctime's day. */
static bool take_byte(char form, char c, unsigned parts[PARTS])
{
    const char *letter = strchr(part_letters, form);

    if (form == 'w')
        return is_letter(c);
    if (form == '@')
        return true; /* month_of reads all three at once */
    if (letter == NULL)
        return c == form;
    if (c == ' ' && form == 'D' && parts[PART_DAY] == 0)
        c = '0';
    if (c < '0' || c > '9')
        return false;
    parts[letter - part_letters] = parts[letter - part_letters] * 10 + (unsigned)(c - '0');
    return true;
}

static bool take_form(const char *form, struct str text, unsigned parts[PARTS])
{
    if (strlen(form) != text.len)
        return false;
    memset(parts, 0, PARTS * sizeof(*parts));
    for (size_t i = 0; i < text.len; i++) {
        if (!take_byte(form[i], text.ptr[i], parts))
            return false;
    }
    parts[PART_MONTH] = month_of(text.ptr + (strchr(form, '@') - form));
    return parts[PART_MONTH] > 0;
}

/* Days from 1970-01-01; the inverse of civil_from_days. Months count from 1. */
static int64_t days_from_civil(unsigned year, unsigned month, unsigned day)
{
    unsigned march_year = year - (month <= 2), era = march_year / 400, of_era = march_year % 400;
    unsigned day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

    return (int64_t)era * 146097 + (int64_t)(of_era * 365 + of_era / 4 - of_era / 100 + day_of_year) - 719468;
}

/* "Sunday, 06-Nov-94": as if its weekday were "Sun". Returns how many letters that drops. */
static size_t long_weekday(struct str text)
{
    size_t letters = 0;

    while (letters < text.len && is_letter(text.ptr[letters]))
        letters++;
    return letters >= 6 && letters <= 9 ? letters - 3 : 0;
}

int http_date_parse(struct str text, int64_t *when)
{
    enum { CENTURY_TURNS = 70, FORM_RFC850 = 1, FORMS = sizeof(date_forms) / sizeof(*date_forms) };
    size_t dropped = long_weekday(text), form = 0;
    unsigned parts[PARTS];
    int64_t days;

    text = str_make(text.ptr + dropped, text.len - dropped);
    while (form < FORMS && ((dropped > 0) != (form == FORM_RFC850) || !take_form(date_forms[form], text, parts)))
        form++;
    if (form == FORMS)
        return -1;
    if (form == FORM_RFC850)
        parts[PART_YEAR] += parts[PART_YEAR] < CENTURY_TURNS ? 2000 : 1900;
    if (parts[PART_YEAR] < 1 || parts[PART_DAY] < 1 || parts[PART_DAY] > 31 || parts[PART_HOUR] > 23 ||
        parts[PART_MINUTE] > 59 || parts[PART_SECOND] > 60)
        return -1;
    days = days_from_civil(parts[PART_YEAR], parts[PART_MONTH], parts[PART_DAY]);
    if (civil_from_days((uint64_t)days).day != parts[PART_DAY])
        return -1; /* 31 February */
    *when = days * 86400 + parts[PART_HOUR] * 3600 + parts[PART_MINUTE] * 60 + parts[PART_SECOND];
    return 0;
}
