#!/usr/bin/env python3
"""Recomputes the answers of `landfall fleet breaches` and `landfall fleet decide`.

This program shares no code with Landfall. It reads the same files (rules, networks, owner, devices,
stays) and prints one line for each answer. fleet/tests/independent.rs compares the lines with those
of Landfall. Days are counted one by one in sets, without Landfall's arithmetic on runs of days.

    localize.py NOW RULES.toml NETWORKS.toml OWNER.toml DEVICES.csv STAYS.csv
"""

import csv
import datetime
import sys
import tomllib
from bisect import bisect_left, bisect_right
from collections import defaultdict

EPOCH = datetime.date(1970, 1, 1)


def day_of(text):
    return (datetime.date.fromisoformat(text) - EPOCH).days


def date(day):
    return (EPOCH + datetime.timedelta(days=day)).isoformat()


def month(day):
    found = EPOCH + datetime.timedelta(days=day)
    return found.year * 12 + found.month


def millis(text):
    text = text if "T" in text else text + "T00:00:00Z"
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1000)


NOW = millis(sys.argv[1])
TODAY = NOW // 86_400_000
RULES, NETWORKS, OWNER = (tomllib.load(open(name, "rb")) for name in sys.argv[2:5])
BY_MCC = {mcc: entry["code"] for entry in NETWORKS["countries"] for mcc in entry.get("mcc", [])}
BY_PLMN = {plmn: entry["code"] for entry in NETWORKS["countries"] for plmn in entry.get("plmn", [])}
LEAD = OWNER.get("lead_time_days", 7)
LIMITED = {"banned", "consecutive_days", "days_in_period", "days_since", "roaming_months_in_period"}
OF_FLEET = {"share_of_roaming", "device_count"}


def country_of(plmn):
    return BY_PLMN.get(plmn) or BY_MCC[plmn[:3]]


def split(text, separator=None):
    return [part.strip() for part in (text or "").split(separator) if part.strip()]


def expand(names):
    return {code for name in names for code in RULES.get("groups", {}).get(name, [name])}


for rule in RULES["rule"]:
    for field in ("countries", "homes", "except_homes"):
        rule[field] = expand(rule.get(field, []))


class Stay:
    def __init__(self, row):
        self.eid, self.network, self.imei = row["eid"], row["network"], row["imei"]
        self.country = country_of(self.network)
        self.home_network = row["home"] if "-" in row["home"] else None
        self.home = country_of(row["home"]) if self.home_network else row["home"]
        self.start = millis(row["from"])
        self.end = millis(row["until"]) if row["until"] else None
        last = NOW if self.end is None or self.end > NOW else max(self.end - 1, self.start)
        self.days = range(self.start // 86_400_000, last // 86_400_000 + 1)

    def days_until_another_card(self):
        """The days until the equipment is used with another card, if the stay has no end."""
        later = [
            stay.start for stay in BY_IMEI[self.imei] if stay.eid != self.eid and stay.start > self.start
        ]
        if self.end is not None or not later:
            return self.days
        return range(self.days.start, min(self.days.stop, (min(later) - 1) // 86_400_000 + 1))

    def is_present(self):
        return self.start <= NOW and (self.end is None or self.end > NOW)


def covers_home(rule, stay):
    ranges = rule.get("home_networks", [])
    known = stay.home_network and (stay.home_network in ranges or stay.home_network[:3] in ranges)
    return (
        (not rule["homes"] or stay.home in rule["homes"])
        and stay.home not in rule["except_homes"],
        not ranges or bool(known),
    )


def in_place(rule, stay):
    networks = rule.get("networks", [])
    there = stay.network in networks if networks else stay.country in rule["countries"]
    return there and stay.home != stay.country and covers_home(rule, stay)[0]


def covers(rule, stay):
    return in_place(rule, stay) and covers_home(rule, stay)[1]


class Device:
    def __init__(self, row, stays):
        self.eid, self.account = row["eid"], row["account"]
        self.stays = stays
        self.present = next((stay for stay in reversed(stays) if stay.is_present()), None)
        self.registered = split(row["imei_registered_in"])
        self.permits = set(split(row["permits"], ";")) | set(OWNER.get("permits", []))
        self.owner_since, self.swap_requested = row["owner_since"], row["swap_requested"]
        self.profiles = [profile.split() for profile in split(row["profiles"], ";")]
        self.refused = [one.split() for one in split(row["refused"], ";")]

    def is_at_home(self):
        here = self.present.country
        local = any(state == "enabled" and country_of(home) == here for _, home, _, state in self.profiles)
        return self.present.home == here or local

    def days(self, rule):
        """The days that add up with the present one."""
        now, days = self.present, set()
        for stay in self.stays:
            same = {
                "each": stay.country == now.country,
                "each_network": stay.network == now.network,
                "together": True,
            }[rule.get("counted", "each")]
            if rule.get("counted_by") == "imei":
                same = same and (stay.imei == now.imei or not stay.imei or not now.imei)
            if same and covers(rule, stay):
                days.update(stay.days)
        if rule.get("counted_by") == "imei" and now.imei:
            for stay in BY_IMEI[now.imei]:
                same = {
                    "each": stay.country == now.country,
                    "each_network": stay.network == now.network,
                    "together": True,
                }[rule.get("counted", "each")]
                if stay.eid != self.eid and same and covers(rule, stay):
                    days.update(stay.days_until_another_card())
        return days

    def days_within(self, window, counts):
        days = {day for stay in self.stays if counts(stay) for day in stay.days}
        return sum(TODAY - window < day <= TODAY for day in days)

    def unmet(self, rule):
        now = self.present
        met = {
            "imei_registration": now.country in self.registered,
            "local_presence": now.country in OWNER.get("registered_in", []),
            "carrier_approval": f"carrier_approval {now.network}" in self.permits,
        }
        fulfilled = lambda one: met.get(one, f"{one} {now.country}" in self.permits)
        return [one for one in rule.get("requires", []) if not fulfilled(one)]


def search(exceeds, first):
    """The first day since which `exceeds` holds without interruption, or the first day to come."""
    if exceeds(first):
        while exceeds(first - 1):
            first -= 1
    else:
        while not exceeds(first):
            first += 1
    return first


def measure(rule, device):
    """The count today and the day of the breach, or None if the event has not happened."""
    days = device.days(rule)
    if rule["kind"] == "days_since":
        arrival = min(days)
        texts = {"change_of_owner": device.owner_since, "swap_request": device.swap_requested}
        text = texts.get(rule["event"], date(arrival))
        if not text or not arrival <= day_of(text) <= TODAY:
            return None
        return TODAY - day_of(text) + 1, day_of(text) + rule["limit_days"]
    if rule["kind"] in ("banned", "consecutive_days"):
        start = search(lambda day: day in days, TODAY)
        return TODAY - start + 1, start + rule.get("limit_days", 0)
    if rule["kind"] == "days_in_period":
        past, window = sorted(days), rule["window_days"]

        def count(day):  # The stay continues, so every day after today counts.
            known = bisect_right(past, day) - bisect_left(past, day - window + 1)
            return known + max(0, min(day - TODAY, window))

        return count(TODAY), search(lambda day: count(day) > rule["limit_days"], TODAY)
    assert rule["kind"] == "roaming_months_in_period", rule["kind"]
    months, window = {month(day) for day in days}, rule["window_months"]
    now = month(TODAY)

    def count_months(one):
        known = sum(one - window < roamed <= one for roamed in months)
        return known + max(0, min(one - now, window))

    over = search(lambda one: count_months(one) > rule["limit_months"], now)
    in_month = [day for day in days if month(day) == over]
    first = day_of(f"{(over - 1) // 12:04}-{(over - 1) % 12 + 1:02}-01")
    return count_months(now), min(in_month, default=first)


def fleet_counts(rule, devices):
    """Devices with such a subscription, roaming devices, and the days of those that roam now."""
    window, least = rule.get("window_days", 1), rule.get("min_days", 1)
    here = [device.days_within(window, lambda stay: covers(rule, stay)) for device in devices]
    anywhere = sum(
        device.days_within(window, lambda stay: all(covers_home(rule, stay))) > 0 for device in devices
    )
    roaming = sum(days >= least for days in here)
    stay = [
        days for device, days in zip(devices, here)
        if days >= least and device.present and covers(rule, device.present)
    ]
    return anywhere, roaming, sorted(stay, reverse=True)


def counts_of(rule, device, cache={}):
    per_account = rule.get("of") == "account"
    key = (rule["id"], device.account if per_account else None)
    if key not in cache:
        together = [one for one in DEVICES if not per_account or one.account == device.account]
        cache[key] = fleet_counts(rule, together)
    return cache[key]


def judge(rule, device):
    """The outcome of a rule for a device, and its figures."""
    if not covers_home(rule, device.present)[1]:
        codes = {country_of(one) if "-" in one else BY_MCC[one] for one in rule["home_networks"]}
        unknown = device.present.home_network is None and device.present.home in codes
        return ("home_network_not_known",) if unknown else None
    if "min_devices" in rule:
        in_fleet = len(DEVICES)
        found = len(counts_of(rule, device)[2]) if rule.get("devices_in") == "place" else in_fleet
        if found < rule["min_devices"]:
            return "too_few_devices", found
    unmet = device.unmet(rule)
    if rule.get("requires") and not unmet:
        return ("fulfilled",)
    if rule["kind"] not in LIMITED | OF_FLEET:
        return (rule["kind"],)
    if rule["kind"] in OF_FLEET:
        anywhere, roaming, stay = counts_of(rule, device)
        allowed = rule.get("max_devices", anywhere * rule.get("max_percent", 0) // 100)
        days = device.days_within(rule.get("window_days", 1), lambda stay: covers(rule, stay))
        if len(stay) <= allowed or days < stay[len(stay) - allowed - 1]:
            return "fleet_rule", roaming, len(stay), allowed
        percent = -(-roaming * 100 // anywhere)
        measured, breach = percent if "max_percent" in rule else roaming, TODAY
    else:
        found = measure(rule, device)
        if found is None:
            return ("not_happened",)
        measured, breach = found
    breach = max(breach, day_of(rule["effective"]) if "effective" in rule else breach)
    if "ends" in rule and breach >= day_of(rule["ends"]):
        return ("ends_first",)
    start = breach * 86_400_000
    status = "broken" if NOW >= start else "near" if NOW >= start - LEAD * 86_400_000 else "clear"
    blocked = breach + rule.get("grace_days", 0)
    consequence = rule.get("consequence", "blocked")
    return status, measured, date(breach), consequence, date(blocked), *sorted(unmet)


def destination(device):
    """The local profile: one on the card, or else the offer with the lowest priority."""
    here, retry = device.present.country, OWNER.get("retry_after_days", 7) * 86_400_000
    role = {"local": 0, "operational": 1, "bootstrap": 2}
    held = sorted((one for one in device.profiles if one[3] == "disabled"), key=lambda one: role[one[2]])
    offers = sorted(OWNER.get("offer", []), key=lambda one: one.get("priority", 1))
    for network in [one[1] for one in held] + [one["network"] for one in offers]:
        refused = any(who == network and millis(at) + retry > NOW for who, at in device.refused)
        if country_of(network) == here and not refused:
            return network
    return None


def answers(device):
    if device.present is None:
        return [("stay", "not_attached")]
    if device.is_at_home():
        return [("stay", "at_home")]
    known = lambda rule: not (
        "announced" in rule and day_of(rule["announced"]) > TODAY
        or "ends" in rule and day_of(rule["ends"]) <= TODAY
    )
    applied = [rule for rule in RULES["rule"] if known(rule) and in_place(rule, device.present)]
    judged = [(rule["id"], judge(rule, device)) for rule in applied]
    judged = [(rule, outcome) for rule, outcome in judged if outcome]
    urgent = [outcome[2] for _, outcome in judged if outcome[0] in ("broken", "near")]
    if not urgent:
        return [("stay",), *(("rule", rule, *outcome) for rule, outcome in judged)]
    to = destination(device)
    decision = ("move", min(urgent), to) if to else ("stuck", min(urgent))
    limits = ("broken", "near", "clear")
    return [decision, *(("rule", rule, *outcome) for rule, outcome in judged if outcome[0] in limits)]


def read(name):
    return list(csv.DictReader(open(name, encoding="utf-8", newline="")))


STAYS = defaultdict(list)
for row in read(sys.argv[6]):
    STAYS[row["eid"]].append(Stay(row))
BY_IMEI = defaultdict(list)
for stays in STAYS.values():
    stays.sort(key=lambda stay: stay.start)
    for stay in stays:
        BY_IMEI[stay.imei].append(stay)
in_service = [row for row in read(sys.argv[5]) if not row["state"].startswith("retired")]
DEVICES = [Device(row, STAYS[row["eid"]]) for row in in_service]
for device in sorted(DEVICES, key=lambda device: device.eid):
    for answer in answers(device):
        print(device.eid, *answer)
