"""Faults without end on a service of real processes, and what its history must be all the same.
scripts/bench chaos runs it; see README.md."""

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from subprocess import CalledProcessError, TimeoutExpired

import checker
from faults import make_schedule
from stage import Stage, wait_until

ITEMS_PER_FAULT = 40
CAMPAIGNS_MIN, CAMPAIGNS_MAX = 8, 16
ITEMS_PER_CAMPAIGN = 300
FIRST_CONTROL = 10**12  # From here on evaluations compare workers, and are none of the search's.
ITEMS_PER_EVALUATION = 2.02  # One proposal each, and those that brought nothing new.
POLICIES = ("islands", "hill_climb", "clade", "random", "sequential", "pareto")
ACTIVE_MAX = 2  # Faults at once, beside one that loses leases.
GAP_SECONDS = (0.3, 2.0)  # Between the begins of two faults.
# After a fault that loses leases, until those that are not renewed can be told from the others.
LOSING_GAP_SECONDS = 5
COMPARED_SHARE = 0.75  # Of the campaigns: the schedule keeps nearly all items from the rule.
LOOK_SECONDS = 0.05
END_SECONDS_MAX = 300  # And for each item a tenth.
# Whoever holds a lost item, or will: nobody else is taken down before it is made.
COUNT_LOST = ("SELECT count(*) FROM work_item w WHERE w.state IN ('ready', 'leased')"
              " AND (w.renewed_at < now() - interval '4 seconds' OR EXISTS (SELECT FROM attempt a"
              " WHERE a.item_id = w.id AND a.outcome IN ('lost', 'overrun')))")
PROGRESS = ("SELECT coalesce(sum(evaluations + final_evaluations + proposals), 0)::bigint,"
            " count(*) FILTER (WHERE state IN ('succeeded', 'failed', 'stopped'))"
            f" FROM campaign WHERE name LIKE '{{}}-%'; {COUNT_LOST}")


def say(text):
    print(text, file=sys.stderr, flush=True)


def log_pairs(text, event):
    """(item, epoch) of each such line of an agent's log."""
    pairs = set()
    for line in text.splitlines():
        if f"event={event} " not in line:
            continue
        # The first of each name: what is quoted behind them may have some, too.
        fields = {}
        for part in line.split():
            name, _, value = part.partition("=")
            fields.setdefault(name, value)
        pairs.add((int(fields["item"]), int(fields["epoch"])))
    return pairs


class Progress:
    """Looks at the campaigns again and again, on a thread of its own: the database may hang."""

    def __init__(self, stage, prefix):
        self.stage, self.prefix = stage, prefix
        self.items = self.ended = 0
        self.lost = None  # Unknown.
        self.is_over = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.is_over:
            try:
                said = self.stage.database.psql(PROGRESS.format(self.prefix), seconds=5).split()
                self.items, self.ended = map(int, said[0].split("|"))
                self.lost = int(said[1])
            except Exception:  # The database is away, as it often is.
                self.lost = None
            time.sleep(0.3)

    def stop(self):
        self.is_over = True
        self.thread.join()


class Run:
    def __init__(self, stage, options):
        self.stage = stage
        self.options = options
        self.campaigns = max(CAMPAIGNS_MIN, min(CAMPAIGNS_MAX,
                                                  options.items // ITEMS_PER_CAMPAIGN))
        self.evaluations = max(4, round(options.items / ITEMS_PER_EVALUATION / self.campaigns))
        self.active = []  # (end, fault, generator, is_losing)
        self.done = []
        self.times = []  # Of the faults in `done`, in words.
        self.end_seconds_max = END_SECONDS_MAX + options.items / 10
        self.begun = 0
        self.last_losing = 0.0

    def submit(self, prefix):
        """The same campaigns under another name: seeds, policies and budgets are equal."""
        for number in range(self.campaigns):
            name = f"{prefix}-{number + 1}"
            spec = {
                "api_version": "cambrian/v1", "kind": "Campaign", "name": name,
                "seed": self.options.seed * 1000 + number + 1,
                "task": {"source": str(self.options.task)},
                "search": {"policy": POLICIES[number % len(POLICIES)]},
                # One proposal and one evaluation in flight: then the seed repeats the lineage.
                "evaluation": {"parallel": 1, "final_repeats": 1, "reuse": False},
                "codegen": {"parallel": 1},
                "budget": {"evaluations": self.evaluations},
            }
            path = self.stage.folder / f"{name}.yaml"
            path.write_text(json.dumps(spec))  # JSON is YAML.
            self.stage.cli("campaign", "submit", path)

    def run_calm(self):
        begin = time.monotonic()
        self.submit("calm")
        progress = Progress(self.stage, "calm")
        wait_until(lambda: progress.ended == self.campaigns, self.end_seconds_max,
                   "the campaigns without faults end")
        progress.stop()
        self.items_expected = progress.items
        return time.monotonic() - begin

    def run_chaos(self):
        begin = time.monotonic()
        self.submit("chaos")
        progress = Progress(self.stage, "chaos")
        schedule, self.missing = make_schedule(self.stage, self.options.seed, self.options.faults)
        queues = [list(one) for one in schedule]
        last_begin = begin
        last_look = begin
        while any(queues) or self.active:
            now = time.monotonic()
            self.end_due(now)
            self.stage.revive()
            if self.is_due(progress, now - last_begin) and self.begin_next(queues, progress):
                last_begin = now
            if now - last_look > 15:
                last_look = now
                say(f"  {self.begun} of {self.options.faults} faults, {progress.items} items of "
                    f"{self.items_expected}, {int(now - begin)} s")
            time.sleep(LOOK_SECONDS)
        self.ended_before_faults = progress.ended
        say(f"  all faults are over, {progress.items} items of {self.items_expected}, "
            f"{int(time.monotonic() - begin)} s")
        self.wait_ended(progress)
        progress.stop()
        return time.monotonic() - begin

    def is_due(self, progress, seconds):
        """Faults are spread over the work, and none waits for long."""
        share = self.begun / self.options.faults
        is_reached = progress.items >= share * self.items_expected
        return seconds >= GAP_SECONDS[1] or (is_reached and seconds >= GAP_SECONDS[0])

    def begin_next(self, queues, progress):
        busy = set().union(*(one[1].resources() for one in self.active))
        losing = [one for one in self.active if one[3]]
        may_lose = (queues[1] and not losing and progress.lost == 0
                    and time.monotonic() - self.last_losing > LOSING_GAP_SECONDS)
        if may_lose and not queues[1][0].resources() & busy:
            self.last_losing = time.monotonic()
            self.begin(queues[1].pop(0), True)
            return True
        if len(self.active) - len(losing) >= ACTIVE_MAX:
            return False
        for place, fault in enumerate(queues[0][:4]):  # The order is nearly that of the schedule.
            if not fault.resources() & busy:
                self.begin(queues[0].pop(place), False)
                return True
        return False

    def begin(self, fault, is_losing):
        self.begun += 1
        self.done.append(fault)
        self.times.append(f"{time.strftime('%H:%M:%S')} {fault}")
        if self.options.verbose:
            say(f"  {self.times[-1]}")
        generator = fault.kind.act(self.stage, fault.target, random.Random(fault.seed))
        self.go_on(fault, generator, is_losing)

    def go_on(self, fault, generator, is_losing):
        try:
            seconds = next(generator, None)
        except (CalledProcessError, TimeoutExpired) as error:  # The statement finds no server.
            say(f"  {fault}: {error}")
            return
        if seconds is not None:
            self.active.append((time.monotonic() + seconds, fault, generator, is_losing))

    def end_due(self, now):
        for one in [one for one in self.active if one[0] <= now]:
            self.active.remove(one)
            self.go_on(*one[1:])

    def wait_ended(self, progress):
        deadline = time.monotonic() + self.end_seconds_max
        while progress.ended < self.campaigns:
            self.end_due(time.monotonic())
            self.stage.revive()
            if time.monotonic() > deadline:
                say("the campaigns do not end: the history is read as it is")
                return
            time.sleep(LOOK_SECONDS)

    def read_history(self):
        rows = self.stage.database.rows
        history = checker.History(
            campaigns=rows("SELECT * FROM campaign"), variants=rows("SELECT * FROM variant"),
            evaluations=rows("SELECT * FROM evaluation WHERE NOT is_control"),
            proposals=rows("SELECT * FROM proposal"),
            items=rows(f"SELECT * FROM work_item WHERE number < {FIRST_CONTROL}"),
            attempts=rows("SELECT a.* FROM attempt a JOIN work_item w ON w.id = a.item_id"
                          f" WHERE w.number < {FIRST_CONTROL}"),
            finished_events=rows(
                "SELECT campaign_id, kind, (payload ->> kind)::bigint AS number FROM event,"
                " replace(type, '_finished', '') kind"
                " WHERE type IN ('evaluation_finished', 'proposal_finished')"),
            sequences=rows(
                "SELECT e.campaign_id, min(e.sequence) AS first, max(e.sequence) AS last,"
                " count(*) AS count, c.last_sequence FROM event e JOIN campaign c"
                " ON c.id = e.campaign_id GROUP BY e.campaign_id, c.last_sequence"),
            open_calls=int(self.stage.database.psql("SELECT count(*) FROM open_call")))
        for agent in self.stage.agents():
            text = agent.text()
            history.delivered |= log_pairs(text, "report_delivered")
            history.refused |= log_pairs(text, "report_not_counted")
        controls = {one["id"] for one in rows(
            f"SELECT id FROM work_item WHERE number >= {FIRST_CONTROL}")}
        say(f"controls of workers: {len(controls)}")
        history.delivered = {pair for pair in history.delivered if pair[0] not in controls}
        history.refused = {pair for pair in history.refused if pair[0] not in controls}
        return history

    def compare(self, history):
        """Names and first differences of campaigns that differ from their twins without faults.
        Those of which a rule ended an item are another search from there on."""
        ids = {one["name"]: one["id"] for one in history.campaigns}
        ended = checker.ended_by_rule(history)
        different = {}
        for number in range(self.campaigns):
            name = f"chaos-{number + 1}"
            if ids[name] in ended:
                continue
            difference = checker.find_difference(
                checker.population(history, ids[f"calm-{number + 1}"]),
                checker.population(history, ids[name]))
            if difference:
                different[name] = difference
        return different

    def replay(self):
        names = [f"chaos-{number + 1}" for number in range(self.campaigns)]
        different = []
        for name in names:
            try:
                self.stage.cli("campaign", "replay", name)
            except RuntimeError as error:
                different.append(str(error))
        return different

    def unexpected_ends(self):
        """Codes with which programs ended that nobody ended. A coordinator that finds no database
        when it starts ends with 1, and PostgreSQL may end where its disk is full."""
        ends = {}
        for process in self.stage.processes.values():
            is_allowed = (0, 1) if process.name.startswith("coordinator") else (0,)
            codes = [code for code in process.ends if code not in is_allowed]
            if codes:
                ends[process.name] = {"codes": codes, "log": process.text()[-2000:]}
        return ends


def report(run, history, findings, seconds):
    chaos = {one["id"] for one in history.campaigns if one["name"].startswith("chaos-")}
    items = [one for one in history.items if one["campaign_id"] in chaos]
    ids = {one["id"] for one in items}
    attempts = [one for one in history.attempts if one["item_id"] in ids]
    commits = sum(int(run.stage.proxy.order(link, "lost")) for link in ("data-a", "data-b"))
    ended = {campaign: said for campaign, said in checker.ended_by_rule(history).items()
             if campaign in chaos}
    different, ends = run.compare(history), run.unexpected_ends()
    replays = run.replay()
    figures = {
        "seed": run.options.seed, "faults": len(run.done),
        "faults_by_kind": dict(sorted(Counter(one.kind.name for one in run.done).items())),
        "not_possible_here": run.missing, "commits_without_answer": commits,
        "errors_of_a_full_disk": run.stage.database.server.text().count("No space left on device"),
        "answers_of_the_model": run.stage.model.answers,
        "campaigns": run.campaigns, "items": len(items),
        "acknowledged": len([one for one in history.delivered if one[0] in ids]),
        "refused_as_stale": len([one for one in history.refused if one[0] in ids]),
        "attempts": dict(sorted(Counter(one["outcome"] or "open" for one in attempts).items())),
        # Two agents lost them, or agents failed too often. Their campaigns are not compared.
        "items_ended_by_rule": sum(map(len, ended.values())),
        "campaigns_compared": run.campaigns - len(ended),
        "campaigns_ended_before_the_last_fault": run.ended_before_faults,
        "seconds_without_faults": round(seconds[0], 1), "seconds": round(seconds[1], 1),
        "lost": len(findings["lost"]), "duplicated": len(findings["duplicated"]),
        "stale_accepted": len(findings["stale_accepted"]), "gaps": len(findings["gaps"]),
        "unfinished": len(findings["unfinished"]), "miscounted": len(findings["miscounted"]),
        "same_population": not different, "replays_identical": not replays,
        "unexpected_ends": len(ends)}
    is_compared = figures["campaigns_compared"] >= COMPARED_SHARE * run.campaigns
    figures["ok"] = is_compared and not (any(findings.values()) or different or replays or ends)
    details = checker.shown(findings) | {"different": different, "replays": replays, "ends": ends}
    if ended:
        say(f"ended by rule: {json.dumps(ended, indent=2)}\nfaults: {json.dumps(run.times)}")
    return figures, {name: found for name, found in details.items() if found}


def run_all(options):
    """Figures, and details of what was wrong."""
    with Stage() as stage:
        return run_on(stage, options)


def run_on(stage, options):
    try:
        run = Run(stage, options)
        say(f"chaos: seed {options.seed}, {options.faults} faults, {run.campaigns} campaigns of "
            f"{run.evaluations} evaluations, in {stage.folder}")
        calm = run.run_calm()
        say(f"  without faults: {run.items_expected} items in {calm:.0f} s")
        seconds = (calm, run.run_chaos())
        history = run.read_history()
        findings = checker.check(history, run.evaluations)
        figures, details = report(run, history, findings, seconds)
        if details and options.keep:
            keep_logs(stage, options.keep)
        return figures, details
    except BaseException:
        if options.keep:
            keep_logs(stage, options.keep)
        raise


def keep_logs(stage, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for log in stage.folder.glob("*.log"):
        (folder / log.name).write_bytes(log.read_bytes())
    (folder / "attempts.jsonl").write_text(stage.database.psql(
        "SELECT row_to_json(a) FROM attempt a WHERE outcome IS DISTINCT FROM 'finished'"))


def parse(arguments):
    parser = argparse.ArgumentParser(prog="scripts/bench chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=50, help="how many (default 50)")
    parser.add_argument("--items", type=int, default=0,
                        help=f"proposals and evaluations (default {ITEMS_PER_FAULT} a fault)")
    parser.add_argument("--seed", type=int, default=0,
                        help="repeats the campaigns and the schedule (default: a random one)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--verbose", action="store_true", help="say each fault as it begins")
    parser.add_argument("--keep", type=Path, help="folder for the logs where something is wrong")
    options = parser.parse_args(arguments)
    options.seed = options.seed or random.SystemRandom().randint(1, 10**6)
    options.items = options.items or options.faults * ITEMS_PER_FAULT
    options.task = Path(__file__).resolve().parent / "task"
    return options


def main(arguments=None):
    options = parse(arguments)
    figures, details = run_all(options)
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name}: {json.dumps(value)}")
    if details:
        say(json.dumps(details, indent=2))
    return 0 if figures["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
