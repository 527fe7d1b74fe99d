"""Detect again, written to be obvious and not fast: it keeps everything that ever happened to a thing and works each
answer out from that. Nothing here is taken from src/detect; what both agree on is docs/concepts/detect.md."""

import ipaddress
import math
from dataclasses import dataclass, field
from fractions import Fraction

# metric -> (kind of value, where it is counted, does a window add it up)
BUILTIN = {
    "aws:all-bytes-out": ("count", "device", True),
    "aws:all-bytes-in": ("count", "device", True),
    "aws:all-packets-out": ("count", "device", True),
    "aws:all-packets-in": ("count", "device", True),
    "aws:num-listening-tcp-ports": ("count", "device", False),
    "aws:num-listening-udp-ports": ("count", "device", False),
    "aws:num-established-tcp-connections": ("count", "device", False),
    "aws:destination-ip-addresses": ("cidrs", "device", False),
    "aws:listening-tcp-ports": ("ports", "device", False),
    "aws:listening-udp-ports": ("ports", "device", False),
    "aws:message-byte-size": ("count", "cloud", False),
    "aws:num-messages-sent": ("count", "cloud", True),
    "aws:num-messages-received": ("count", "cloud", True),
    "aws:num-authorization-failures": ("count", "cloud", True),
    "aws:source-ip-address": ("cidrs", "cloud", False),
    "aws:num-connection-attempts": ("count", "cloud", True),
    "aws:num-disconnects": ("count", "cloud", True),
    "aws:disconnect-duration": ("count", "cloud", False),
}
# What an observation calls the counters; the last two are not counted by dimension.
COUNTER_FIELD = {
    "aws:num-messages-sent": "sent",
    "aws:num-messages-received": "received",
    "aws:num-authorization-failures": "failures",
    "aws:num-connection-attempts": "attempts",
    "aws:num-disconnects": "disconnects",
}


def dimension_of(of):
    """(name, operator) of a behaviour or a metric to retain; None without one."""
    given = of.get("metricDimension")
    return (given["dimensionName"], given.get("operator", "IN")) if given else None


def series_of(of):
    return of["metric"], dimension_of(of)


def series_name(series):
    metric, dimension = series
    return f"{metric}|{dimension[1]}|{dimension[0]}" if dimension else metric


def is_normal(criteria, kind, value):
    """A behaviour says what is normal. Lists: each element must be; so an empty one is."""
    op = criteria["comparisonOperator"]
    limit = criteria["value"][kind]
    if op == "less-than":
        return value < limit
    if op == "less-than-equals":
        return value <= limit
    if op == "greater-than":
        return value > limit
    if op == "greater-than-equals":
        return value >= limit
    if kind == "cidrs":
        nets = [ipaddress.ip_network(text, strict=False) for text in limit]
        inside = [any(a.version == n.version and a in n for n in nets) for a in map(ipaddress.ip_address, value)]
    else:
        inside = [element in limit for element in value]
    return not any(inside) if op.startswith("not-") else all(inside)


def statistic_of(behavior):
    """"p99.9" of a statistical behaviour; None of a static one."""
    return behavior["criteria"].get("statisticalThreshold", {}).get("statistic")


def percentile(statistic, values):
    """The nearest rank: the smallest value that at least that many percent do not exceed."""
    percent = Fraction(statistic.removeprefix("p"))
    rank = math.ceil(percent * len(values) / 100)
    return sorted(values)[max(rank, 1) - 1]


def run_of(points, to_alarm, to_clear):
    """Folds normal/not normal from the beginning: (in alarm now, did the last point change that)."""
    alarm, run, changed = False, 0, False
    for normal in points:
        changed = False
        run = run + 1 if normal == alarm else 0
        if run >= (to_clear if alarm else to_alarm):
            alarm, run, changed = not alarm, 0, True
    return alarm, changed


@dataclass
class Watch:
    """One behaviour of one profile for one thing, since it applies in its present form."""

    profile: str
    behavior: dict
    points: list = field(default_factory=list)  # (time, normal)
    alarm: bool = False
    # Statistical: of what the device has at a tick, which is judged when everybody's is known.
    seen: list = field(default_factory=list)  # (time, value) of its reports, or (tick, value) of cloud-side points
    at_tick: tuple = None  # (tick, value)

    def last(self):
        """When there was a value last."""
        return self.seen[-1][0] if self.seen else self.points[-1][0] if self.points else 0


@dataclass
class Thing:
    reports: list = field(default_factory=list)  # (time, id, values)
    observations: list = field(default_factory=list)
    cloud_points: dict = field(default_factory=dict)  # series -> [(tick, value)] of periods, for windows
    watches: dict = field(default_factory=dict)  # identity -> Watch
    # (series, seconds, is it of statistical device-side behaviours) -> index of first report, first cloud point
    summed_since: dict = field(default_factory=dict)
    touched: int = -1  # the latest tick at which anything happened to it
    judged: int = 0  # how often
    ticked: int = 0  # observations before the latest tick
    last_event: int = 0
    connected: bool = False
    tracked: bool = False
    disconnected_since: int = 0
    version: int = -1


class Reference:
    def __init__(self, tick_ms, silence_ms, forget_ms, population_min=2):
        self.tick_ms, self.silence_ms, self.forget_ms = tick_ms, silence_ms, forget_ms
        self.population_min, self.populations = population_min, None  # (tick, {(identity, statistic): values}), not judged
        self.things, self.profiles, self.customs, self.members, self.version = {}, [], {}, {}, 0

    def configure(self, customs, profiles, members):
        self.customs, self.profiles, self.members = customs, profiles, members
        self.version += 1

    # What applies.

    def kind_of(self, metric):
        return BUILTIN[metric][0] if metric in BUILTIN else {
            "number": "number", "number-list": "numbers", "string-list": "strings", "ip-address-list": "cidrs",
        }.get(self.customs.get(metric))

    def profiles_of(self, name):
        return [self.profiles[i] for i in self.members.get(name, [])]

    def series_of_thing(self, name):
        """What is wanted of it: (metric, dimension)."""
        wanted = set()
        for profile in self.profiles_of(name):
            wanted.update(series_of(b) for b in profile.get("behaviors", []) if "metric" in b)
            wanted.update(series_of(m) for m in profile.get("additionalMetricsToRetainV2", []))
        return sorted((s for s in wanted if self.kind_of(s[0])), key=series_name)

    def cloud_series(self, name):
        return [s for s in self.series_of_thing(name) if s[0] in BUILTIN and BUILTIN[s[0]][1] == "cloud"]

    def seconds_of(self, behavior):
        """Of the window; 0: a data point is judged alone."""
        metric = behavior["metric"]
        adds_up = metric in BUILTIN and BUILTIN[metric][2]
        if statistic_of(behavior):
            adds_up = adds_up or metric == "aws:message-byte-size"
            return behavior["criteria"].get("durationSeconds", 300) if adds_up else 0
        return behavior["criteria"].get("durationSeconds", 0) if adds_up else 0

    def window_of(self, behavior):
        """What names its window; None: it has none."""
        apart = bool(statistic_of(behavior)) and BUILTIN.get(behavior["metric"], ("", "device"))[1] == "device"
        return (series_of(behavior), seconds, apart) if (seconds := self.seconds_of(behavior)) else None

    def settle(self, name, now):
        """Brings a thing up to the configuration: what no longer applies to it ends."""
        thing = self.things[name]
        if thing.version == self.version:
            return []
        thing.version = self.version
        applies, summed = {}, set()
        for profile in self.profiles_of(name):
            for behavior in profile.get("behaviors", []):
                if "criteria" not in behavior:
                    continue
                identity = (profile["securityProfileName"], behavior["name"], series_of(behavior),
                            repr(sorted(behavior["criteria"].items(), key=str)))
                applies[identity] = thing.watches.get(identity) or Watch(profile["securityProfileName"], behavior)
                applies[identity].behavior = behavior
                if window := self.window_of(behavior):
                    summed.add(window)
        effects = [self.event("alarm-invalidated", now, name, watch, None)
                   for identity, watch in thing.watches.items() if watch.alarm and identity not in applies]
        thing.watches = applies
        beginnings = {key: thing.summed_since.get(key, (len(thing.reports), len(thing.cloud_points.get(key[0], []))))
                      for key in summed}
        thing.summed_since = beginnings
        return effects

    def reach(self, name, now):
        """The thing, if any profile reaches it, and what that led to."""
        if name not in self.things:
            if not self.series_of_thing(name):
                return None, []
            self.things[name] = Thing()
        effects = self.settle(name, now)
        return (self.things[name] if self.series_of_thing(name) else None), effects

    # What happens.

    def report(self, name, now, report_id, values):
        thing, effects = self.reach(name, now)
        if thing is None or any(report_id == seen for _, seen, _ in thing.reports):
            return effects
        thing.reports.append((now, report_id, values))
        thing.last_event = now
        for metric, dimension in self.series_of_thing(name):
            if metric not in values or dimension:
                continue
            kind, value = values[metric]
            if kind != self.kind_of(metric):
                continue
            effects.append(("kept", metric, name, now, value))
            for watch in self.watches_of(thing, (metric, None)):
                if statistic_of(watch.behavior):
                    watch.seen.append((now, value))
                    continue
                judged = value
                if seconds := self.seconds_of(watch.behavior):
                    # The window's edge moves in steps of the tick.
                    first_step = now // self.tick_ms - max(seconds * 1000 // self.tick_ms, 1)
                    begin = thing.summed_since[self.window_of(watch.behavior)][0]
                    judged = sum(v[metric][1] for t, _, v in thing.reports[begin:]
                                 if metric in v and t // self.tick_ms > first_step)
                effects += self.judge(name, watch, now, kind, judged)
        return effects

    def observe(self, name, now, seen):
        thing, effects = self.reach(name, now)
        if thing is None:
            return effects
        cloud = self.cloud_series(name)
        if not cloud:
            return effects
        thing.last_event = now
        # Counted apart for the dimensions that somebody wants of the thing at that time.
        parts = {d: seen.get("dimensions", {}).get("|".join(d), {}) for _, d in cloud if d}
        thing.observations.append((now, seen, parts))
        changed = seen["connected"] != thing.connected or seen.get("disconnects", 0) > 0
        thing.connected = seen["connected"]
        thing.tracked |= seen["connected"] or seen.get("disconnects", 0) > 0
        thing.disconnected_since = 0 if seen["connected"] else seen.get("disconnected_since") or thing.disconnected_since or now
        if changed and thing.tracked and ("aws:disconnect-duration", None) in cloud:
            effects += self.disconnect_duration(name, thing, now)
        return effects

    def tick(self, now):
        effects = []
        populations = {}
        for name in list(self.things):
            effects += self.tick_thing(name, now)
            for identity, watch in self.things[name].watches.items() if name in self.things else ():
                if watch.at_tick:
                    populations.setdefault((identity, statistic_of(watch.behavior)), []).append(watch.at_tick[1])
        if populations or any(statistic_of(b) for p in self.profiles for b in p.get("behaviors", []) if "criteria" in b):
            self.populations = now, populations
        return effects

    def thresholds(self):
        """The second half of a tick: when everybody's values are known."""
        effects = []
        if not self.populations:
            return effects
        tick, populations = self.populations
        self.populations = None
        made = {identity: percentile(statistic, values) for (identity, statistic), values in populations.items()
                if len(values) >= self.population_min and min(values) >= 0}
        if not made:
            return effects
        for name, thing in self.things.items():
            if thing.touched != tick:
                continue
            effects += self.settle(name, tick)
            for identity, watch in thing.watches.items():
                if identity in made and watch.at_tick and watch.at_tick[0] == tick:
                    criteria, value = watch.behavior["criteria"], watch.at_tick[1]
                    normal = is_normal({**criteria, "value": {"any": made[identity]}}, "any", value)
                    effects += self.judge(name, watch, tick, "any", value, normal=normal)
        return effects

    def at_tick(self, thing, watch, now):
        """What a device contributes to the percentile of a behaviour; None: nothing."""
        metric, series = watch.behavior["metric"], series_of(watch.behavior)
        seconds = watch.behavior["criteria"].get("durationSeconds", 300)
        begin = now - seconds * 1000
        window = self.window_of(watch.behavior)
        if BUILTIN.get(metric, ("", "device"))[1] == "device":
            if watch.last() <= begin or not watch.seen:
                return None
            if not window:
                return watch.seen[-1][1]
            since = thing.summed_since[window][0]
            return sum(v[metric][1] for t, _, v in thing.reports[since:] if metric in v and begin <= t < now)
        if not thing.observations:
            return None
        since = thing.summed_since[window][1]
        total = sum(c for t, c in thing.cloud_points.get(series, [])[since:] if t > begin)
        if metric == "aws:message-byte-size":
            active = total > 0
        else:
            active = thing.connected or any(t > begin for t, _, _ in thing.observations)
        if active:
            watch.seen.append((now, total))
        return total if active else None

    def tick_thing(self, name, now):
        thing = self.things[name]
        effects = self.settle(name, now)
        idle = thing.last_event < now - self.forget_ms and not thing.connected
        if (idle or not self.series_of_thing(name)) and not any(w.alarm for w in thing.watches.values()):
            del self.things[name]
            return effects
        before = thing.judged
        happened = bool(thing.observations[thing.ticked:])
        for watch in thing.watches.values():
            if watch.alarm and watch.last() < now - self.silence_ms:
                effects.append(self.event("alarm-invalidated", now, name, watch, None))
                watch.alarm, watch.points, watch.seen, watch.at_tick = False, [], [], None
                happened = True
        if thing.observations:
            of_cloud = self.tick_cloud(name, thing, now)
            happened |= bool(of_cloud)
            effects += of_cloud
        for watch in thing.watches.values():
            if statistic_of(watch.behavior):
                value = self.at_tick(thing, watch, now)
                happened |= value is not None or watch.at_tick is not None
                watch.at_tick = None if value is None else (now, value)
        if happened or thing.judged != before:
            thing.touched = now
        return effects

    def tick_cloud(self, name, thing, now):
        effects = []
        period = thing.observations[thing.ticked:]
        thing.ticked = len(thing.observations)
        active = bool(period)
        for series in self.cloud_series(name):
            metric, dimension = series
            seen = [parts.get(dimension, {}) if dimension else all_of_it for _, all_of_it, parts in period]
            kept = series_name(series)
            if metric in COUNTER_FIELD:
                count = sum(s.get(COUNTER_FIELD[metric], 0) for s in seen)
                counts = thing.cloud_points.setdefault(series, [])
                counts.append((now, count))
                point = active or thing.connected
                if point:
                    effects.append(("kept", kept, name, now, count))
                for watch in self.static_watches_of(thing, series):
                    judged, has_point = count, point
                    if seconds := self.seconds_of(watch.behavior):
                        periods = max(seconds * 1000 // self.tick_ms, 1)
                        begin = thing.summed_since[self.window_of(watch.behavior)][1]
                        judged = sum(c for t, c in counts[begin:] if t > now - periods * self.tick_ms)
                        has_point = point or any(t > now - periods * self.tick_ms for t, _, _ in thing.observations)
                    if has_point:
                        effects += self.judge(name, watch, now, "count", judged)
            elif metric == "aws:message-byte-size":
                sizes = [s["sizes"] for s in seen if s.get("sent", 0) > 0]
                if sizes:
                    smallest, largest = min(s[1] for s in sizes), max(s[2] for s in sizes)
                    effects.append(("kept", kept, name, now, largest))
                    thing.cloud_points.setdefault(series, []).append((now, sum(s[0] for s in sizes)))
                    for watch in self.static_watches_of(thing, series):
                        less = watch.behavior["criteria"]["comparisonOperator"].startswith("less")
                        effects += self.judge(name, watch, now, "count", largest if less else smallest)
            elif metric == "aws:source-ip-address":
                addresses = sorted({a for s in seen for a in s.get("addresses", [])})
                if addresses:
                    effects.append(("kept", kept, name, now, addresses))
                    for watch in self.watches_of(thing, series):
                        effects += self.judge(name, watch, now, "cidrs", addresses)
            elif metric == "aws:disconnect-duration" and thing.tracked:
                effects += self.disconnect_duration(name, thing, now)
        return effects

    def disconnect_duration(self, name, thing, now):
        away = 0 if thing.connected else max(now - thing.disconnected_since, 0)
        effects = [("kept", "aws:disconnect-duration", name, now, away // 1000)]
        for watch in self.watches_of(thing, ("aws:disconnect-duration", None)):
            # The threshold is in minutes; the value is in whole seconds.
            criteria = watch.behavior["criteria"]
            minutes = {"comparisonOperator": criteria["comparisonOperator"],
                       "value": {"count": criteria["value"]["count"] * 60}}
            effects += self.judge(name, watch, now, "count", away // 1000, minutes)
        return effects

    # Behaviours.

    def watches_of(self, thing, series):
        return [w for w in thing.watches.values()
                if series_of(w.behavior) == series and
                (statistic_of(w.behavior) or self.kind_of(series[0]) in w.behavior["criteria"]["value"])]

    def static_watches_of(self, thing, series):
        return [w for w in self.watches_of(thing, series) if not statistic_of(w.behavior)]

    def judge(self, name, watch, now, kind, value, criteria=None, normal=None):
        if normal is None:
            normal = is_normal(criteria or watch.behavior["criteria"], kind, value)
        self.things[name].judged += 1
        watch.points.append((now, normal))
        given = watch.behavior["criteria"]
        alarm, changed = run_of([n for _, n in watch.points], given.get("consecutiveDatapointsToAlarm", 1),
                                given.get("consecutiveDatapointsToClear", 1))
        watch.alarm = alarm
        return [self.event("in-alarm" if alarm else "alarm-cleared", now, name, watch, value)] if changed else []

    @staticmethod
    def event(kind, now, name, watch, value):
        return ("event", kind, now, name, watch.profile, watch.behavior["name"], value)
