"""What a history must be after everything that was done to it. Pure: rows in, findings out."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

# What a variant, an evaluation and a proposal are apart from when, where and in how many attempts.
LINEAGE = {
    "variants": ("number", "parents", "proposal", "operator", "island", "generation",
                 "duplicate_of", "files", "token_digest", "state", "outcome", "metrics", "score"),
    "evaluations": ("number", "variant", "split", "seed", "is_final", "outcome", "metrics"),
    "proposals": ("number", "operator", "parents", "inspirations", "failures", "seed",
                  "variants", "outcome", "result_variants"),
}
KINDS = ("evaluation", "proposal")
SHOWN_MAX = 20  # Examples of one kind of finding.


@dataclass
class History:
    """Rows of the database as dictionaries, and what the agents say. Campaigns by their ids."""
    campaigns: list = field(default_factory=list)
    variants: list = field(default_factory=list)
    evaluations: list = field(default_factory=list)
    proposals: list = field(default_factory=list)
    items: list = field(default_factory=list)
    attempts: list = field(default_factory=list)
    finished_events: list = field(default_factory=list)  # Of evaluations and proposals.
    sequences: list = field(default_factory=list)  # By campaign: first, last, count of events.
    open_calls: int = 0
    delivered: set = field(default_factory=set)  # (item, epoch): told "accepted".
    refused: set = field(default_factory=set)  # (item, epoch): told "not counted".


def check(history, budget):
    """Everything but the population: `budget` is the number of evaluations of each campaign."""
    findings = {"lost": [], "duplicated": [], "stale_accepted": [], "gaps": [], "unfinished": [],
                "miscounted": []}
    attempts = {(one["item_id"], one["epoch"]): one for one in history.attempts}
    results = results_by_item(history)
    events = Counter((one["campaign_id"], one["kind"], one["number"])
                     for one in history.finished_events)
    check_acknowledged(history, attempts, results, events, findings)
    check_items(history, results, events, findings)
    check_stale(history, attempts, results, findings)
    check_campaigns(history, events, budget, findings)
    return findings


def results_by_item(history):
    """The row of the evaluation or proposal behind each item."""
    rows = {}
    for kind, found in zip(KINDS, (history.evaluations, history.proposals)):
        rows |= {(kind, one["campaign_id"], one["number"]): one for one in found}
    return {one["id"]: rows[one["kind"], one["campaign_id"], one["number"]]
            for one in history.items}


def check_acknowledged(history, attempts, results, events, findings):
    """Each result that an agent was told is stored: once."""
    items = {one["id"]: one for one in history.items}
    for item, epoch in sorted(history.delivered):
        attempt = attempts.get((item, epoch))
        if attempt is None or item not in items:
            findings["lost"].append(f"item {item} epoch {epoch}: there is no such attempt")
            continue
        if attempt["outcome"] == "infrastructure":
            continue  # Taken as a failure of the agent: the item was tried again.
        row = items[item]
        key = (row["campaign_id"], row["kind"], row["number"])
        is_there = (attempt["outcome"] == "finished" and attempt["is_counted"]
                    and row["state"] == "done" and results[item]["outcome"] is not None
                    and events[key] >= 1)
        if not is_there:
            findings["lost"].append(f"item {item} epoch {epoch}: acknowledged, and the attempt is "
                                    f"{attempt['outcome']}, the item {row['state']}")


def check_items(history, results, events, findings):
    counted = Counter(one["item_id"] for one in history.attempts if one["is_counted"])
    for item, count in counted.items():
        if count > 1:
            findings["duplicated"].append(f"item {item}: {count} attempts count")
    for key, count in events.items():
        if count > 1:
            findings["duplicated"].append(f"{key}: {count} events tell its end")
    for one in history.items:
        if one["state"] in ("ready", "leased"):
            findings["unfinished"].append(f"item {one['id']} is {one['state']}")
        key = (one["campaign_id"], one["kind"], one["number"])
        if one["state"] == "done" and events[key] == 0:
            findings["lost"].append(f"item {one['id']} is done, and no event tells it")
        if one["state"] == "done" and results[one["id"]]["outcome"] is None:
            findings["lost"].append(f"item {one['id']} is done without a result")
    for item, tries in without_result(history):
        outcome = results[item["id"]]["outcome"]
        if outcome not in outcomes_by_rule(item["kind"], tries):
            findings["lost"].append(f"item {item['id']} ended as {outcome} by no rule:"
                                    f" {said_of(item, tries)}")
    if history.open_calls:
        findings["unfinished"].append(f"{history.open_calls} calls of the model are still open")


def check_stale(history, attempts, results, findings):
    """What comes when the lease is gone is recorded, never counted."""
    epochs = {one["id"]: one["epoch"] for one in history.items}
    for key in sorted(history.refused):
        if key in attempts and attempts[key]["is_counted"] and key not in history.delivered:
            findings["stale_accepted"].append(f"{key}: refused, and it counts")
    for (item, epoch), one in attempts.items():
        if not one["is_counted"]:
            continue
        if one["stale_report_at"] is not None or one["outcome"] != "finished":
            findings["stale_accepted"].append(f"item {item} epoch {epoch}: came late and counts")
        if epoch != epochs[item]:
            findings["stale_accepted"].append(
                f"item {item}: epoch {epoch} counts, and {epochs[item]} was given out")
        said = results[item].get("log")
        if said and said != f"{one['agent_id']} {item} {epoch}":
            findings["stale_accepted"].append(
                f"item {item}: the result is of '{said}', and epoch {epoch} counts")


def check_campaigns(history, events, budget, findings):
    made = defaultdict(Counter)
    for one in history.evaluations:
        if one["outcome"] is not None:
            made[one["campaign_id"]]["final" if one["is_final"] else "search"] += 1
    proposals = Counter(one["campaign_id"] for one in history.proposals
                        if one["outcome"] is not None)
    for one in history.campaigns:
        name = one["name"]
        if one["state"] != "succeeded":
            findings["unfinished"].append(f"{name} is {one['state']}: {one['reason']}")
        counts = {"evaluations": made[one["id"]]["search"],
                  "final_evaluations": made[one["id"]]["final"], "proposals": proposals[one["id"]]}
        for column, count in counts.items():
            if one[column] != count:
                findings["miscounted"].append(f"{name}: {column} says {one[column]}, not {count}")
        if counts["evaluations"] != budget:
            findings["miscounted"].append(f"{name}: {counts['evaluations']} evaluations of "
                                          f"{budget}")
    for one in history.sequences:
        if (one["first"], one["last"]) != (1, one["count"]) or one["last"] != one["last_sequence"]:
            findings["gaps"].append(f"campaign {one['campaign_id']}: events {one['first']} to "
                                    f"{one['last']} of {one['last_sequence']}, {one['count']}")


def without_result(history):
    """Items that are done and of which no attempt counts, each with its attempts."""
    attempts = defaultdict(list)
    for one in history.attempts:
        attempts[one["item_id"]].append(one)
    for one in history.items:
        tries = attempts[one["id"]]
        if one["state"] == "done" and not any(each["is_counted"] for each in tries):
            yield one, tries


def outcomes_by_rule(kind, tries):
    """How the service ends what its agents were lost or failed with (postgres/item_end.cpp); empty:
    not yet."""
    count = Counter(one["outcome"] for one in tries)
    losers = {one["agent_id"] for one in tries if one["outcome"] in ("lost", "overrun")}
    if len(losers) >= 2 or count["overrun"] >= 2:
        return ("crash", "timeout") if kind == "evaluation" else ("infrastructure",)
    is_over = (count["infrastructure"] + count["unable"] >= 5
               or count["lost"] + count["dropped"] + count["overrun"] >= 20)
    return ("infrastructure",) if is_over else ()


def said_of(item, tries):
    return f"{item['kind']} {item['number']}: " + "; ".join(
        f"{one['agent_name']} {one['outcome']}, {one['started_at']} to {one['ended_at']}"
        for one in tries)


def ended_by_rule(history):
    """By campaign, in words: what ended without a result as it has to. The campaign goes on with a
    failure, another way than its twin."""
    ended = defaultdict(list)
    for item, tries in without_result(history):
        if outcomes_by_rule(item["kind"], tries):
            ended[item["campaign_id"]].append(said_of(item, tries))
    return dict(ended)


def population(history, campaign):
    """The whole lineage of one campaign as a value to compare."""
    lineage = {}
    for name, columns in LINEAGE.items():
        rows = [one for one in getattr(history, name) if one["campaign_id"] == campaign]
        lineage[name] = sorted(([one[column] for column in columns] for one in rows),
                               key=lambda row: row[0])
    return lineage


def find_difference(expected, found):
    """The first difference of two populations in words; none when they are equal."""
    for name, columns in LINEAGE.items():
        for before, after in zip(expected[name], found[name]):
            if before != after:
                parts = [f"{column} {a} -> {b}" for column, a, b in zip(columns, before, after)
                         if a != b]
                return f"{name} {before[0]}: " + "; ".join(parts)
        if len(expected[name]) != len(found[name]):
            return f"{len(expected[name])} {name}, and {len(found[name])} with faults"
    return None


def shown(findings):
    return {name: found[:SHOWN_MAX] for name, found in findings.items() if found}
