"""Random fleets: profiles, and what happens to their things. Everything comes from the seed."""

import random

from reference import BUILTIN

TICK = 300_000
START = 1_767_225_600_000  # a multiple of the tick
CUSTOMS = {"rssi": "number", "duty": "number", "loads": "number-list", "units": "string-list", "dns": "ip-address-list"}
ADDRESSES = ["192.0.2.1", "192.0.2.77", "198.51.100.9", "10.0.0.1", "2001:db8::1", "2001:db8:1::5", "::1"]
NETWORKS = ["192.0.2.0/24", "192.0.2.64/26", "0.0.0.0/0", "10.0.0.1", "2001:db8::/32", "::/0", "198.51.100.9/32"]
PORTS = [22, 80, 443, 5683, 8883]
STRINGS = ["sshd", "agent", "x", "cron"]
DIMENSIONAL = ["aws:num-messages-sent", "aws:num-messages-received", "aws:message-byte-size",
               "aws:num-authorization-failures", "aws:source-ip-address"]
DIMENSIONS = [(name, op) for name in ("telemetry", "commands") for op in ("IN", "NOT_IN")]
STATISTICS = ["p0", "p0.01", "p0.1", "p1", "p10", "p50", "p90", "p99", "p99.9", "p99.99", "p100"]
DURATIONS = [300, 600, 900, 1800, 3600]
NUMERIC = ["less-than", "less-than-equals", "greater-than", "greater-than-equals"]


class History:
    """`steps` are commands of test/model/fleet.h; fewer things and values than in life, so that they meet."""

    def __init__(self, seed, length=120, days=None, crowd=False):
        self.random = random.Random(seed)
        r = self.random
        self.crowd = crowd  # many things, each tick with several of them, most judged by percentiles
        self.things = [f"t{i}" for i in range(r.randint(5, 40) if crowd else r.randint(1, 4))]
        # How many of the criteria that can be are statistical.
        self.percentiles = 0.9 if crowd else r.choice([0, 0.3, 0.9])
        self.owed = False  # thresholds of a tick, which can be late
        self.now, self.report_id, self.recent = START + r.randrange(TICK), 0, {}
        self.disconnected = {}
        self.options = {"tick_ms": TICK, "silence_ms": r.choice([1, 2, 6]) * 3_600_000,
                        "forget_ms": r.choice([3, 12, 48]) * 3_600_000, "partitions": r.randint(1, 3), "population_min": r.choice([1, 2, 2, 2, 3])}
        self.profiles = [self.profile(i) for i in range(r.randint(1, 3))]
        self.members = {t: self.membership() for t in self.things}
        self.late = []  # reports on their way
        self.steps = [{"op": "fleet", **self.options}, self.configure()]
        end = self.now + days * 86_400_000 if days else None
        while self.now < end if days else len(self.steps) < length:
            self.step()

    # Profiles.

    def criteria(self, metric):
        r = self.random
        kind = BUILTIN[metric][0] if metric in BUILTIN else {
            "number": "number", "number-list": "numbers", "string-list": "strings", "ip-address-list": "cidrs"}[CUSTOMS[metric]]
        criteria = {"consecutiveDatapointsToAlarm": r.choice([1, 1, 2, 3]),
                    "consecutiveDatapointsToClear": r.choice([1, 1, 2, 3])}
        if kind in ("count", "number"):
            less = metric == "aws:disconnect-duration"
            criteria["comparisonOperator"] = r.choice(NUMERIC[:2] if less else NUMERIC)
            if not less and r.random() < self.percentiles:
                criteria["statisticalThreshold"] = {"statistic": r.choice(STATISTICS)}
                if r.random() < 0.8:
                    criteria["durationSeconds"] = r.choice(DURATIONS)
                return criteria
            criteria["value"] = {kind: r.choice([0, 1, 5, 10, 15]) if kind == "count" else r.choice([-70.5, 0, 3.25])}
            if metric in BUILTIN and metric not in ("aws:disconnect-duration", "aws:message-byte-size") and r.random() < 0.5:
                criteria["durationSeconds"] = r.choice(DURATIONS)
            return criteria
        group, choices = {"cidrs": ("cidr", NETWORKS), "ports": ("port", PORTS), "numbers": ("", [1, 2.5, -3]),
                          "strings": ("", STRINGS)}[kind]
        criteria["comparisonOperator"] = r.choice(["in-", "not-in-"]) + (group + "-set" if group else "set")
        criteria["value"] = {kind: r.sample(choices, r.randint(1, 2))}
        return criteria

    def metric(self, metric):
        if metric not in DIMENSIONAL or self.random.random() < 0.5:
            return {"metric": metric}
        name, op = self.random.choice(DIMENSIONS)
        return {"metric": metric, "metricDimension": {"dimensionName": name, "operator": op}}

    def behavior(self, name):
        metric = self.random.choice([*BUILTIN, *CUSTOMS])
        behavior = {"name": name, **self.metric(metric)}
        if self.random.random() < 0.9:
            behavior["criteria"] = self.criteria(metric)
        return behavior

    def profile(self, index):
        r = self.random
        return {"securityProfileName": f"p{index}",
                "behaviors": [self.behavior(f"b{i}") for i in range(r.randint(1, 5))],
                "additionalMetricsToRetainV2": [self.metric(m) for m in r.sample([*BUILTIN, *CUSTOMS], r.randint(0, 2))]}

    def configure(self):
        return {"op": "configure", "custom_metrics": dict(CUSTOMS), "profiles": [dict(p) for p in self.profiles],
                "members": {t: list(m) for t, m in self.members.items()}}

    def membership(self):
        every = range(len(self.profiles))
        if self.crowd and self.random.random() < 0.8:
            return list(every)
        return sorted(self.random.sample(every, self.random.randint(0, len(every))))

    def change(self):
        """An operator's change: of a behaviour, or of who is a member."""
        r = self.random
        if r.random() < 0.5:
            thing = r.choice(self.things)
            self.members[thing] = self.membership()
        else:
            profile = r.choice(self.profiles)
            at = r.randrange(len(profile["behaviors"]))
            profile["behaviors"] = list(profile["behaviors"])
            profile["behaviors"][at] = self.behavior(profile["behaviors"][at]["name"])
        self.steps.append(self.configure())

    # What happens.

    def step(self):
        r = self.random
        before = self.now
        pauses = [1, 1000, TICK // 10, TICK // 10, TICK // 5] if self.crowd else [1, 1000, 20_000, 100_000, TICK, TICK]
        self.now += r.choice(pauses) if r.random() < (0.995 if self.crowd else 0.97) else r.choice([2, 8, 60]) * 3_600_000
        # Time without a server: its ticks are not made up, only the latest is.
        missed = self.now - before > 12 * TICK and r.random() < 0.5
        boundaries = range(before // TICK + 1, self.now // TICK + 1)
        for boundary in list(boundaries)[-1:] if missed else boundaries:
            self.steps.append(self.crashing({"op": "tick", "time": boundary * TICK, "slice": r.choice([1, 2, 1000])}))
            self.owed = True
            if r.random() < 0.85:
                self.thresholds()
        choice = r.random()
        if choice < 0.5:
            self.report(r.choice(self.things))
        elif choice < 0.9:
            self.observe(r.choice(self.things))
        elif choice < (0.98 if self.crowd else 0.94):
            self.steps.append({"op": "restart"})
        else:
            self.change()
        if self.owed and r.random() < 0.5:
            self.thresholds()

    def thresholds(self):
        self.steps.append(self.crashing({"op": "thresholds", "slice": self.random.choice([1, 2, 1000])}))
        self.owed = False

    def crashing(self, step):
        """Sometimes the process ends in the middle."""
        if self.random.random() < 0.05:
            step["crash"] = self.random.choice([0, 0, 1, 2])
        return step

    def report(self, thing):
        r = self.random
        recent = self.recent.setdefault(thing, [])
        again = bool(recent) and r.random() < 0.1  # with other values: by a device or a network that repeats
        if not again:
            self.report_id += 1
        report_id = r.choice(recent[-3:]) if again else self.report_id
        few = lambda of, most=3: r.sample(of, r.randint(0, most))
        metrics, custom = {}, {}
        if r.random() < 0.7:
            metrics["network_stats"] = {k: r.randint(0, 12) for k in ("bytes_in", "bytes_out", "packets_in", "packets_out")
                                        if r.random() < 0.7}
        for kind in ("tcp", "udp"):
            if r.random() < 0.5:
                ports = few(PORTS)
                metrics[f"listening_{kind}_ports"] = {"ports": [{"port": p} for p in ports], "total": len(ports) + r.choice([0, 0, 9])}
        if r.random() < 0.5:
            remote = few(ADDRESSES)
            metrics["tcp_connections"] = {"established_connections": {
                "connections": [{"remote_addr": f"[{a}]:443" if ":" in a else f"{a}:443"} for a in remote], "total": len(remote)}}
        for name, key, values in (("rssi", "number", lambda: r.choice([-90, -70.5, 0, 3.5])),
                                  ("duty", "number", lambda: r.choice([0, 0.25, 1.5, 7, 7.5])),
                                  ("loads", "number_list", lambda: few([1, 2.5, -3, 7])),
                                  ("units", "string_list", lambda: few(STRINGS)),
                                  ("dns", "ip_list", lambda: few(ADDRESSES))):
            if r.random() < 0.3:
                custom[name] = [{key: values()}]
        if custom and r.random() < 0.1:
            custom["rssi"] = [{"string_list": ["not", "a", "number"]}]  # of another type: left out
        body = {"header": {"report_id": report_id, "version": "1.0"}, "metrics": metrics, "custom_metrics": custom}
        fate = 1 if again else r.random()  # most arrive; some are lost, some are overtaken by later ones
        if fate < 0.1:
            self.late.append((thing, body))
        elif fate > 0.15:
            recent.append(report_id)
            self.steps.append(self.crashing({"op": "report", "thing": thing, "time": self.now, "body": body}))
        if self.late and r.random() < 0.1:
            thing, body = self.late.pop(0)
            self.recent[thing].append(body["header"]["report_id"])
            self.steps.append({"op": "report", "thing": thing, "time": self.now, "body": body})

    def messages(self):
        r = self.random
        sent = r.choice([0, 1, 3, 8])
        sizes = sorted(r.randint(0, 20) for _ in range(sent)) or [0]
        return {"sent": sent, "received": r.choice([0, 0, 2, 11]), "sizes": [sum(sizes), sizes[0], sizes[-1]],
                "failures": r.choice([0, 0, 1, 6]), "addresses": r.sample(ADDRESSES, r.choice([0, 1, 2]))}

    def observe(self, thing):
        r = self.random
        connected = r.random() < 0.6
        seen = {"op": "observe", "thing": thing, "time": self.now, **self.messages(),
                "attempts": r.choice([0, 1, 2]), "disconnects": r.choice([0, 0, 1]), "connected": connected,
                "dimensions": {"|".join((name, op)): self.messages() for name, op in DIMENSIONS if r.random() < 0.5}}
        if connected:
            self.disconnected.pop(thing, None)
        else:
            seen["disconnected_since"] = self.disconnected.setdefault(thing, self.now - r.choice([0, 5000]))
        self.steps.append(self.crashing(seen))


def values_of(body):
    """What a report says, by metric: (kind, value)."""
    out = {}
    metrics = body["metrics"]
    for field in ("bytes", "packets"):
        for direction in ("in", "out"):
            if f"{field}_{direction}" in metrics.get("network_stats", {}):
                out[f"aws:all-{field}-{direction}"] = ("count", metrics["network_stats"][f"{field}_{direction}"])
    for kind in ("tcp", "udp"):
        if listening := metrics.get(f"listening_{kind}_ports"):
            out[f"aws:num-listening-{kind}-ports"] = ("count", listening["total"])
            out[f"aws:listening-{kind}-ports"] = ("ports", [p["port"] for p in listening["ports"]])
    if tcp := metrics.get("tcp_connections"):
        established = tcp["established_connections"]
        out["aws:num-established-tcp-connections"] = ("count", established["total"])
        out["aws:destination-ip-addresses"] = (
            "cidrs", [c["remote_addr"].rsplit(":", 1)[0].strip("[]") for c in established["connections"]])
    for name, (reading,) in body["custom_metrics"].items():
        key, value = next(iter(reading.items()))
        out[name] = ({"number": "number", "number_list": "numbers", "string_list": "strings", "ip_list": "cidrs"}[key], value)
    return out
