"""The report: medians and spread of the rounds, and Markdown made of them."""

import statistics

# Key of a round's figures, heading, format, whether more is better.
COLUMNS = [
    ("rate", "requests/s", ",.0f", True),
    ("content_mb_s", "MB/s", ",.1f", True),
    ("cpu_us", "CPU µs/request", ",.1f", False),
    ("p50_ms", "p50 ms", ",.2f", False),
    ("p99_ms", "p99 ms", ",.2f", False),
    ("p999_ms", "p99.9 ms", ",.2f", False),
    ("peak_mb", "peak MB", ",.1f", False),
    ("pss_mb", "PSS MB", ",.1f", False),
]
LEADS = ["rate", "cpu_us", "p99_ms", "peak_mb"]  # in which it is said who is ahead of cserve
OURS = "cserve"
YARDSTICK = "epoll in C"
EVEN = 1.01  # a smaller factor is no lead
ENOUGH_ROUNDS = 3


# Figures of rounds


def measured(rows):
    return [row for row in rows if "failed" not in row]


def failure(rows):
    """Why a server has no figures; "" if it has."""
    return next((row["failed"] for row in rows if "failed" in row), "")


def has(rows, key):
    return all(row[key] is not None for row in rows)


def values(rows, key):
    """Least, median and most of the rounds."""
    column = [row[key] for row in rows]
    return min(column), statistics.median(column), max(column)


def median(rows, key):
    return values(rows, key)[1]


def with_spread(rows, key, form):
    if not has(rows, key):
        return "-"
    least, middle, most = values(rows, key)
    return f"{middle:{form}}" + (f" ({least:{form}} to {most:{form}})" if len(rows) > 1 else "")


def errors_of(rows):
    kinds = dict.fromkeys(kind for row in rows for kind in row["errors"])
    counts = {kind: sum(row["errors"].get(kind, 0) for row in rows) for kind in kinds}
    return ", ".join(f"{kind} {count:,}" for kind, count in counts.items()) or "0"


def in_short(row):
    """A measurement in a line, for whoever watches."""
    if "failed" in row:
        return f"failed: {row['failed']}"
    errors = f"  errors: {errors_of([row])}" if row["errors"] else ""
    return (f"{row['rate']:>10,.0f}/s {row['cpu_us']:>9.1f} us  p99 {with_spread([row], 'p99_ms', '.2f')} ms"
            f"  {row['peak_mb']:.0f} MB{errors}")


def by_rate(servers):
    """{name: its rounds} of the servers that were measured, the fastest first."""
    done = {name: rows for name, rows in servers.items() if measured(rows) and not failure(rows)}
    return dict(sorted(done.items(), key=lambda item: -median(item[1], "rate")))


# Comparison with the servers of others


def rivals(results, scenario):
    """Those of by_rate that are neither cserve nor the yardstick."""
    own = {server["name"] for server in results["servers"] if server["ours"] or server["yardstick"]}
    ranked = by_rate(results["results"][scenario["name"]])
    return {name: rows for name, rows in ranked.items() if name not in own}


def compared(results):
    """(name, cserve's rounds, {name: rounds} of the others) of each scenario that has both."""
    for scenario in results["scenarios"]:
        ours = by_rate(results["results"][scenario["name"]]).get(OURS)
        others = rivals(results, scenario)
        if ours and others:
            yield scenario["name"], ours, others


def overlap(ours, theirs, key):
    """Whether the rounds of both overlap, so that a lead may be chance."""
    (least, _, most), (other_least, _, other_most) = values(ours, key), values(theirs, key)
    return least <= other_most and other_least <= most


def ahead(ours, others, key, more_is_better):
    """[(factor, name, what to know about it)] of the others that are ahead of cserve."""
    found = []
    for name, theirs in others.items():
        if not has(ours, key) or not has(theirs, key):
            continue
        mine, other = (max(median(rows, key), 1e-9) for rows in (ours, theirs))
        factor = other / mine if more_is_better else mine / other
        if factor > EVEN:
            chance, errors = overlap(ours, theirs, key), any(row["errors"] for row in theirs)
            found.append((factor, name, " *" * chance + " (with errors)" * errors))
    return sorted(found, reverse=True)


# Markdown


def table(heading, rows):
    """Columns of figures have a colon at the end of their heading."""
    names = [name.removesuffix(":") for name in heading]
    rules = ["---:" if name.endswith(":") else "---" for name in heading]
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [names, rules, *cells]]


def overview(results):
    """cserve beside the best of the others, scenario by scenario."""
    rows = []
    for name, ours, others in compared(results):
        fastest = next(iter(others))
        cheapest = min(others, key=lambda other: median(others[other], "cpu_us"))
        rate, most = (median(rounds, "rate") for rounds in (ours, others[fastest]))
        cost, least = (median(rounds, "cpu_us") for rounds in (ours, others[cheapest]))
        rows.append([name, f"{rate:,.0f}", f"{most:,.0f} ({fastest})", f"{rate / most:.2f}",
                     f"{cost:,.1f}", f"{least:,.1f} ({cheapest})"])
    return table(["scenario", "cserve, requests/s:", "the most of the others:", "cserve's / theirs:",
                  "cserve, CPU µs/request:", "the least of the others:"], rows)


def leads(results):
    """Where a server of others is ahead of cserve."""
    lines = []
    for key, name, _, more_is_better in COLUMNS:
        if key not in LEADS:
            continue
        rows = []
        for scenario, ours, others in compared(results):
            found = ahead(ours, others, key, more_is_better)
            told = [f"{other} {factor:.2f}{marks}" for factor, other, marks in found]
            if told:
                rows.append([scenario, ", ".join(told)])
        heading = ["scenario", "ahead of cserve, by this factor"]
        lines += ["", f"**{name}**", "", *(table(heading, rows) if rows else ["Nobody, nowhere."])]
    return lines


def about(server):
    """A row of the servers' table."""
    if server["missing"]:
        return [server["name"], "not installed", server["missing"]]
    slower = f"; without {server['slower']}" if server["slower"] else ""
    return [server["name"], server["version"] or "of this repository", server["choice"] + slower]


def servers_section(servers):
    commands = [server["command"] for server in servers if not server["missing"]]
    return [*table(["server", "version", "why like that"], map(about, servers)),
            "", "Their command lines in the first scenario:", "", "```", *commands, "```"]


def scenario_section(scenario, servers):
    """All figures of a scenario."""
    ranked = by_rate(servers)
    yardstick = ranked.get(YARDSTICK)
    rows = []
    for name, rounds in ranked.items():
        row = [f"**{name}**" if name == OURS else name]
        row += [with_spread(rounds, key, form) for key, _, form, _ in COLUMNS]
        if yardstick:
            row.append(f"{median(rounds, 'cpu_us') / max(median(yardstick, 'cpu_us'), 1e-9):.2f}")
        verified_mb = sum(each["verified_bytes"] for each in rounds) / 1e6
        rows.append([*row, f"{verified_mb:,.1f}", errors_of(rounds)])
    heading = ["server", *(f"{name}:" for _, name, _, _ in COLUMNS)]
    heading += ["CPU / yardstick's:"] * bool(yardstick) + ["verified MB:", "errors"]
    reasons = {name: failure(rounds) for name, rounds in servers.items()}
    missing = [f"- {name} has no figures: {reason}" for name, reason in reasons.items() if reason]
    return ["", f"### {scenario['name'][0].upper()}{scenario['name'][1:]}", "", *table(heading, rows),
            *([""] if missing else []), *missing]


INTRODUCTION = """\
# Benchmarks

Made by `{command}` on {date}.
`tests/bench` has the program, the applications and the settings of every server,
[benchmarks/results.json](benchmarks/results.json) has each single figure.

{machine}

Rounds: {rounds}, of {seconds} s for each scenario (more where requests take long). A figure is their median,
with the least and the most behind it. In a round each server is started on a core of its own, verified,
warmed up for a second in which the client compares each answer, measured from another core, and stopped;
then comes the next one.

- Clients send a request as soon as they have the answer to the one before, so latencies are those of a busy
  server. wrk adds to them what it missed while it waited (its correction for "coordinated omission").
- MB/s are content, in both directions.
- CPU is user and system time of all processes of a server.
- Peak is the largest resident memory of each process, added up; PSS is what they hold together at the end.
- Verified is the content that was compared with what the application gave; errors are whatever was not an
  answer with status 200 and the right content.

The yardstick is a server in C (`tests/bench/epoll_server.c`) that answers the same bytes as cserve, but never
looks into a request nor calls Python: what it costs is the price of the kernel.
"""


def introduction(results):
    facts = "\n".join(f"- {name}: {value}" for name, value in results["machine"].items())
    text = INTRODUCTION.format(**{**results, "machine": facts})
    if results["rounds"] < ENOUGH_ROUNDS:
        text += "\n**So few rounds show that everything works, not how fast anything is.**\n"
    return text


def group_section(results, group, charts):
    lines = ["", f"## {group.capitalize()}"]
    for chart in charts:
        if chart.stem.partition("-")[0] == group:
            lines += ["", f"![{chart.stem.replace('-', ', ')}](benchmarks/{chart.name})"]
    for scenario in results["scenarios"]:
        if scenario["group"] == group:
            lines += scenario_section(scenario, results["results"][scenario["name"]])
    return lines


def markdown(results, charts):
    lines = [introduction(results),
             "## In short", "", *overview(results), "",
             "## Where others are ahead of cserve", "",
             "With an asterisk where the rounds of both overlap, so that it may be chance.",
             *leads(results), "",
             "## The servers", "", *servers_section(results["servers"])]
    for group in dict.fromkeys(scenario["group"] for scenario in results["scenarios"]):
        lines += group_section(results, group, charts)
    return "\n".join(lines) + "\n"
