#!/usr/bin/env python3
"""From a device's report to the violation's alert, over the real broker: mutual TLS in, Detect, SNS, MQTT out.

    tools/venv.sh && build/venv/bin/python bench/alarm_latency.py [--count N]

Each round is one report that violates and one that clears; both alerts are timed. Run it on an otherwise idle machine."""
import argparse
import json
import pathlib
import shutil
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "test/e2e"))
import devices  # noqa: E402
import fleetward  # noqa: E402
import lake  # noqa: E402


def report(number, rssi):
    return json.dumps({"header": {"report_id": number, "version": "1.0"},
                       "custom_metrics": {"mobilerssi": [{"number": rssi}]}})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    directory = tempfile.mkdtemp()
    server = fleetward.Server(directory).start()
    try:
        iot, sns = server.boto("iot"), server.boto("sns")
        iot.create_custom_metric(metricName="mobilerssi", metricType="number", clientRequestToken="bench")
        topic = sns.create_topic(Name="bench")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="mqtt", Endpoint="alerts/bench")
        group = iot.create_thing_group(thingGroupName="bench")["thingGroupArn"]
        iot.create_security_profile(
            securityProfileName="bench",
            behaviors=[{"name": "signal", "metric": "mobilerssi", "criteria": {
                "comparisonOperator": "greater-than", "value": {"number": -100},
                "consecutiveDatapointsToAlarm": 1, "consecutiveDatapointsToClear": 1}}],
            alertTargets={"SNS": {"alertTargetArn": topic, "roleArn": lake.role(server, "bench", "iot", ["sns:Publish"])}})
        iot.attach_security_profile(securityProfileName="bench", securityProfileTargetArn=group)
        device = devices.Thing(server, "bench-device", group="bench")
        watcher = devices.Thing(server, "bench-watcher")
        times = []
        with watcher.client() as subscriber, device.client() as client:
            subscriber.subscribe("alerts/bench")
            for number in range(2 * options.count):
                begin = time.perf_counter()
                client.paho.publish("$aws/things/bench-device/defender/metrics/json",
                                    report(number + 1, -115 if number % 2 == 0 else -70), 1)
                subscriber.receive()
                times.append((time.perf_counter() - begin) * 1000)
        times.sort()
        print(f"report in -> alert out, {len(times)} alerts: p50 {times[len(times) // 2]:.1f} ms, "
              f"p99 {times[int(len(times) * 0.99)]:.1f} ms, max {times[-1]:.1f} ms")
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
