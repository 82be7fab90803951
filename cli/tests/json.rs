//! `--json`: every case prints documents that match the schema of its command, and ends with the
//! exit status of its kind. The table in docs/json.md lists the cases.
//!
//! To add a command: list its type in `OUTPUTS` of its file below `cli/src/command`, and add its
//! cases to a group here, at least one for success. Then
//! `LANDFALL_REGENERATE=1 cargo test -p cli --test json` writes the schemas and the table.
//!
//! The cases of a group run one after the other, so that later ones use the results of earlier ones.
//! The groups run at the same time and share the servers of `json/setup.rs`. Invalid arguments are
//! tested for all commands, without a case of their own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;
#[path = "json/page.rs"]
mod page;
#[path = "json/run.rs"]
mod run;
#[path = "json/schemas.rs"]
mod schemas;
#[path = "json/setup.rs"]
mod setup;

use std::collections::{BTreeMap, BTreeSet};

use run::run;
use schemas::Schemas;
use setup::Setup;

use Expected::{Document, Error, ErrorWithStatus, Lines, MissedExpectation, Server, Text};

/// The expected output of a command.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// The result.
    Document,
    /// The result, as one JSON object on each line.
    Lines,
    /// The announcement of a server. Its ports without TLS answer the health requests.
    Server,
    /// No JSON: a script or nothing.
    Text,
    /// A result that differs from the expected one, with the exit status of `expectation`.
    MissedExpectation,
    /// An error of this kind.
    Error(&'static str),
    /// A refusal with the status code of the server.
    ErrorWithStatus,
}

/// A command, its further arguments, and its expected output. Words in braces are values of the
/// setup, such as addresses. `--data-dir` is the folder of the setup unless the case has one.
type Case = (&'static str, &'static [&'static str], Expected);

/// The groups of cases.
const GROUPS: &[&[Case]] =
    &[CERTIFICATES, PROFILES, CONSUMER, RECORDS, M2M, IOT, SCENARIOS, FLEET, CHECKS, DEMO, SERVERS, OTHERS];

const CERTIFICATES: &[Case] = &[
    ("certs show", &[], Document),
    ("certs show", &["--pki", "{folder}/missing"], Error("not_found")),
    ("certs init", &[], Error("usage")),
    ("certs init", &["--pki", "{folder}/another-pki"], Document),
    ("certs issue dp-tls", &["--name", "smdp.example.com", "--pki", "{folder}/another-pki"], Document),
    ("certs issue dp-tls", &["--name", "a", "--pki", "{folder}/missing"], Error("not_found")),
    ("certs issue ds-tls", &["--name", "smds.example.com", "--pki", "{folder}/another-pki"], Document),
    ("certs issue ds-tls", &["--name", "a", "--days", "0"], Error("usage")),
    ("certs issue euicc", &["{unknown_eid}", "--pki", "{folder}/another-pki"], Document),
    ("certs issue euicc", &["1"], Error("usage")),
    ("certs issue operator", &["--name", "Another Operator", "--pki", "{folder}/another-pki"], Document),
    ("certs issue operator", &["--name", "A", "--pki", "{folder}/missing"], Error("not_found")),
    (
        "certs issue eim",
        &["--name", "eim.example.com", "--host", "eim.example.com", "--pki", "{folder}/another-pki"],
        Document,
    ),
    ("certs issue eim", &["--name", "A", "--host", "a", "--pki", "{folder}/missing"], Error("not_found")),
    (
        "certs issue sm-sr",
        &["--name", "Another SM-SR", "--host", "localhost", "--pki", "{folder}/another-pki"],
        Document,
    ),
    (
        "certs issue sm-dp",
        &["--name", "Another SM-DP", "--host", "localhost", "--pki", "{folder}/another-pki"],
        Document,
    ),
    ("certs issue ecasd", &["{unknown_eid}", "--pki", "{folder}/another-pki"], Document),
];

const RECORDS: &[Case] = &[
    ("sm-dp list", &["--data-dir", "{folder}/checked"], Document),
    ("records check", &["--data-dir", "{folder}/checked"], Document),
    ("records check", &["{text}"], MissedExpectation),
    ("records check", &["{folder}/missing.sqlite"], Error("not_found")),
    ("records accept", &["{folder}/checked/sm-dp.sqlite"], Document),
    ("records accept", &["{text}"], Error("usage")),
    ("records encrypt", &["{folder}/checked/sm-dp.sqlite"], Error("usage")),
    ("records encrypt", &["{folder}/checked/sm-dp.sqlite", "--config", "{encryption}"], Document),
];

const PROFILES: &[Case] = &[
    ("profile new", &["{folder}/another.der", "--number", "9"], Document),
    ("profile new", &["{folder}"], Error("usage")),
    ("profile show", &["{package}"], Document),
    ("profile show", &["{package}", "--files"], Document),
    ("profile show", &["{folder}/missing.der"], Error("not_found")),
    ("profile show", &["{text}"], Error("usage")),
    ("profile check", &["{package}"], Document),
    ("profile check", &["{damaged}"], MissedExpectation),
    ("profile check", &["{package}", "{folder}/missing.der"], Error("not_found")),
    ("profile diff", &["{package}", "{folder}/another.der"], Document),
    ("profile diff", &["{package}", "{folder}/missing.der"], Error("not_found")),
    ("profile decompile", &["{package}"], Document),
    ("profile decompile", &["{package}", "{folder}/package.toml"], Document),
    ("profile decompile", &["{folder}/missing.der"], Error("not_found")),
    ("profile decompile", &["{text}"], Error("usage")),
    ("profile build", &["{folder}/package.toml", "{folder}/again.der"], Document),
    ("profile build", &["{text}", "{folder}/again.der"], Error("usage")),
    ("profile build", &["{folder}/missing.toml", "{folder}/again.der"], Error("not_found")),
    (
        "profile personalise",
        &[
            "{folder}/package.toml",
            "--count",
            "1",
            "--iccid",
            "894999000000000100",
            "--imsi",
            "724990000000100",
        ],
        Error("usage"),
    ),
    (
        "profile personalise",
        &[
            "{folder}/package.toml",
            "--count",
            "1",
            "--iccid",
            "894999000000000100",
            "--imsi",
            "724990000000100",
            "--out",
            "{folder}/many",
            "--records",
            "{folder}/records.csv",
        ],
        Document,
    ),
    (
        "profile personalise",
        &[
            "{folder}/missing.toml",
            "--rows",
            "{folder}/missing.csv",
            "--out",
            "{folder}/others",
            "--records",
            "{folder}/others.csv",
        ],
        Error("not_found"),
    ),
    ("profile import", &["{package}", "--data-dir", "{folder}/import"], Document),
    ("profile import", &["{package}", "--data-dir", "{folder}/import"], Error("usage")),
    ("profile import", &["{folder}/missing.der", "--data-dir", "{folder}/import"], Error("not_found")),
];

const CONSUMER: &[Case] = &[
    ("sm-dp add", &["{more}"], Document),
    ("sm-dp add", &["{more}"], Error("usage")),
    ("sm-dp add", &["{folder}/missing.der"], Error("not_found")),
    ("sm-dp add", &["{text}", "--template"], Error("usage")),
    ("sm-dp add", &["{package}", "--template", "--type", "meters"], Document),
    ("sm-dp order", &["--type", "meters", "--admin", "{admin}"], Document),
    ("sm-dp order", &["--type", "no such type", "--admin", "{admin}"], Error("refused")),
    ("sm-dp order", &["--admin", "{closed}"], Error("unreachable")),
    ("sm-dp order", &["--eid", "1"], Error("usage")),
    ("sm-dp list", &[], Document),
    ("sm-dp list", &["stock", "--admin", "{admin}"], Document),
    ("sm-dp list", &["stock", "--admin", "none"], Error("usage")),
    ("sm-dp list", &["stock", "--admin", "{closed}"], Error("unreachable")),
    ("sm-dp list", &["stock", "colour=red", "--admin", "{admin}"], Error("refused")),
    ("sm-ds list", &[], Document),
    ("operator order", &[], Error("usage")),
    ("operator order", &["{unknown}", "--sm-dp", "{sm_dp}"], ErrorWithStatus),
    ("operator order", &["{iccid}", "--sm-dp", "{closed}"], Error("unreachable")),
    ("operator order", &["{iccid}", "--pki", "{folder}/missing"], Error("not_found")),
    ("sm-dp latest", &["orders", "--namespace", "empty", "--admin", "{admin}"], Error("not_found")),
    ("operator order", &["{iccid}", "--matching-id", "FIRST", "--hold", "--sm-dp", "{sm_dp}"], Document),
    ("operator release", &["{unknown}", "--sm-dp", "{sm_dp}"], ErrorWithStatus),
    ("operator release", &["{iccid}", "--sm-dp", "{closed}"], Error("unreachable")),
    ("operator release", &["{iccid}", "--sm-dp", "{sm_dp}"], Document),
    ("operator cancel", &["{iccid}", "--sm-dp", "{closed}"], Error("unreachable")),
    ("operator cancel", &["{iccid}", "--sm-dp", "{sm_dp}"], Document),
    ("operator cancel", &["{unknown}", "--sm-dp", "{sm_dp}"], ErrorWithStatus),
    ("operator order", &["{iccid}", "--matching-id", "SECOND", "--sm-dp", "{sm_dp}"], Document),
    ("operator order", &["{second_iccid}", "--matching-id", "THIRD", "--sm-dp", "{sm_dp}"], Document),
    ("sm-dp latest", &["orders", "--admin", "{admin}"], Document),
    ("sm-dp latest", &["orders", "--admin", "{closed}"], Error("unreachable")),
    ("sm-dp latest", &["orders", "colour=red", "--admin", "{admin}"], Error("refused")),
    ("sm-dp wait", &["orders", "--admin", "{admin}"], Document),
    (
        "sm-dp wait",
        &["orders", "--after", "1000000", "--timeout", "1ms", "--admin", "{admin}"],
        Error("not_found"),
    ),
    ("sm-dp wait", &["orders", "--timeout", "soon", "--admin", "{admin}"], Error("refused")),
    ("sm-dp wait", &["orders", "--admin", "{closed}"], Error("unreachable")),
    ("device info", &[], Document),
    ("device info", &["--card", "{closed}"], Error("unreachable")),
    ("device list", &[], Document),
    ("device list", &["--card", "{closed}"], Error("unreachable")),
    ("device recover", &["--visible", "724-99", "{servers}"], Error("not_found")),
    ("device recover", &["--card", "{closed}"], Error("unreachable")),
    ("device discover", &["{servers}"], Document),
    ("device discover", &["--sm-ds", "{closed}", "{closed}"], Error("unreachable")),
    ("device download", &["no code"], Error("usage")),
    ("device download", &["{servers}"], Error("usage")),
    ("device download", &["LPA:1${sm_dp}$WRONG", "{servers}"], ErrorWithStatus),
    ("device download", &["LPA:1${closed}$SECOND"], Error("unreachable")),
    ("device move", &["LPA:1${sm_dp}$SECOND", "{servers}"], Error("not_found")),
    ("device download", &["LPA:1${sm_dp}$SECOND", "{servers}"], Document),
    ("device enable", &["{iccid}"], Document),
    ("device enable", &["{unknown}"], Error("not_found")),
    ("device enable", &["{iccid}", "--card", "{closed}"], Error("unreachable")),
    ("device register", &["--visible", "724-99", "{servers}"], Document),
    ("device register", &["--visible", "724-99", "--network", "{closed}"], Error("unreachable")),
    ("device recover", &["--visible", "724-99", "{servers}"], Document),
    ("device move", &["LPA:1${sm_dp}$WRONG", "--visible", "724-99", "{servers}"], ErrorWithStatus),
    ("device move", &["LPA:1${closed}$THIRD", "--visible", "724-99", "{servers}"], Error("unreachable")),
    ("device move", &["LPA:1${sm_dp}$THIRD", "--visible", "724-99", "{servers}"], Document),
    ("device notifications", &["{servers}"], Document),
    ("device notifications", &["--card", "{closed}"], Error("unreachable")),
    ("device disable", &["{second_iccid}"], Document),
    ("device disable", &["{unknown}"], Error("not_found")),
    ("device disable", &["{iccid}", "--card", "{closed}"], Error("unreachable")),
    ("device delete", &["{iccid}"], Document),
    ("device delete", &["{iccid}"], Error("not_found")),
    ("device delete", &["{iccid}", "--card", "{closed}"], Error("unreachable")),
    ("device default-sm-dp", &["{sm_dp}"], Document),
    ("device default-sm-dp", &["{sm_dp}", "--card", "{closed}"], Error("unreachable")),
    ("sm-dp list", &["orders", "--admin", "{admin}"], Document),
    ("sm-dp list", &["sessions", "--admin", "{admin}"], Document),
    ("sm-dp list", &["notifications", "--admin", "{admin}"], Document),
    ("sm-dp list", &["events", "--admin", "{admin}"], Document),
    ("sm-dp list", &["operators", "--admin", "{admin}"], Document),
    ("sm-dp list", &["outbox", "--admin", "{admin}"], Document),
    ("sm-dp latest", &["notifications", "--admin", "{admin}"], Document),
    ("sm-dp latest", &["events", "--admin", "{admin}"], Document),
    ("sm-dp list", &[], Document),
    ("load es9plus", &["--devices", "2", "--sm-dp", "{sm_dp}", "--admin", "{admin}"], Document),
    ("load es9plus", &["--devices", "1", "--activation-code", "LPA:1${sm_dp}$WRONG"], MissedExpectation),
    ("load es9plus", &["--devices", "1", "--codes", "{text}"], Error("usage")),
    ("load es9plus", &["--devices", "1", "--codes", "{folder}/missing.txt"], Error("not_found")),
    (
        "load es9plus",
        &["--devices", "1", "--sm-dp", "{closed}", "--admin", "{closed}", "--patience", "0"],
        Error("unreachable"),
    ),
];

const M2M: &[Case] = &[
    ("sm-sr list", &["--data-dir", "{folder}/missing"], Error("not_found")),
    ("sm-sr peers", &["--data-dir", "{folder}/missing"], Error("not_found")),
    ("sm-sr eis", &["{m2m_eid}", "--data-dir", "{folder}/missing"], Error("not_found")),
    ("sm-sr eis", &["{unknown_eid}", "--data-dir", "{m2m}"], Error("not_found")),
    ("sm-sr list", &["--data-dir", "{m2m}"], Document),
    ("sm-sr peers", &["--data-dir", "{m2m}"], Document),
    ("sm-sr eis", &["{m2m_eid}", "--data-dir", "{m2m}"], Document),
    ("eum register", &["{unknown_eid}", "{first}", "--sm-sr", "{sm_sr}"], Document),
    ("eum register", &["{unknown_eid}", "{first}", "--sm-sr", "{sm_sr}"], ErrorWithStatus),
    ("eum register", &["{eid}", "{first}", "--sm-sr", "{closed}"], Error("unreachable")),
    (
        "eum register",
        &["{eid}", "--msisdn", "+447700910009", "--profile", "{folder}/missing.der"],
        Error("not_found"),
    ),
    ("operator m2m get-eis", &["{card_itself}"], Document),
    ("operator m2m get-eis", &["{card_itself}", "--es4"], Document),
    ("operator m2m get-eis", &["{no_card_itself}"], ErrorWithStatus),
    (
        "operator m2m get-eis",
        &[
            "{m2m_eid}",
            "--sm-sr",
            "{sm_sr_id}@{sm_sr}",
            "--sm-dp",
            "{closed}",
            "--listen",
            "127.0.0.1:0",
            "--validity",
            "1",
        ],
        Error("unreachable"),
    ),
    ("operator m2m get-eis", &["{card_itself}", "--pki", "{folder}/missing"], Error("not_found")),
    ("operator m2m download", &["{m2m_iccid}", "{card}", "--enable"], Document),
    ("operator m2m download", &["{unknown}", "{card}"], ErrorWithStatus),
    ("operator m2m audit", &["{card_itself}", "--es4"], Document),
    ("operator m2m audit", &["{no_card_itself}", "--es4"], ErrorWithStatus),
    ("operator m2m disable", &["{m2m_iccid}", "{card}"], Document),
    ("operator m2m disable", &["{unknown}", "{card}"], ErrorWithStatus),
    ("operator m2m set-emergency", &["{unknown}", "{card}"], ErrorWithStatus),
    ("operator m2m update-policy", &["{m2m_iccid}", "{card}", "--rule", "no-delete"], Document),
    ("operator m2m update-policy", &["{unknown}", "{card}"], ErrorWithStatus),
    ("operator m2m delete", &["{m2m_iccid}", "{card}"], ErrorWithStatus),
    ("operator m2m update-policy", &["{m2m_iccid}", "{card}"], Document),
    ("operator m2m update-address", &["{m2m_iccid}", "{card}", "--msisdn", "+5511900000008"], Document),
    ("operator m2m update-address", &["{unknown}", "{card}", "--msisdn", "+551190"], ErrorWithStatus),
    ("operator m2m enable", &["{m2m_iccid}", "{card}"], Document),
    ("operator m2m enable", &["{unknown}", "{card}"], ErrorWithStatus),
    ("operator m2m set-fallback", &["{m2m_iccid}", "{card}"], Document),
    ("operator m2m set-emergency", &["{m2m_first_iccid}", "{card}", "--es4"], Document),
    ("operator m2m set-fallback", &["{unknown}", "{card}"], ErrorWithStatus),
    ("operator m2m download", &["{m2m_spare_iccid}", "{card}"], Document),
    ("operator m2m delete", &["{m2m_spare_iccid}", "{card}"], Document),
    ("sm-sr eis", &["{m2m_eid}", "--data-dir", "{m2m}"], Document),
    (
        "operator m2m smsr-change",
        &["{card_itself}", "--to", "2.999.1@{closed}", "--validity", "1"],
        Error("unreachable"),
    ),
    ("operator m2m smsr-change", &["{card_itself}", "--to", "{second_sm_sr}"], Document),
];

const SCENARIOS: &[Case] = &[
    ("run", &["--list"], Document),
    ("run", &["{scenario}", "--report", "{folder}/reports"], Document),
    ("run", &["{missed}"], MissedExpectation),
    ("run", &["{text}"], Error("usage")),
    ("run", &["no-such-scenario"], Error("not_found")),
    ("replay", &["{folder}/reports/met.json", "{scenario}"], Document),
    ("replay", &["{folder}/reports/met.json", "{missed}"], MissedExpectation),
    ("replay", &["{text}"], Error("usage")),
    ("replay", &["{folder}/missing.json"], Error("not_found")),
];

const FLEET: &[Case] = &[
    ("fleet list", &[], Error("not_found")),
    ("fleet export", &[], Error("not_found")),
    ("fleet residents", &[], Error("not_found")),
    ("fleet breaches", &[], Error("not_found")),
    ("fleet markets", &[], Error("not_found")),
    ("fleet decide", &[], Error("not_found")),
    ("fleet campaign list", &[], Error("not_found")),
    ("fleet import", &["{folder}/missing.csv"], Error("not_found")),
    ("fleet import", &["{text}"], Error("usage")),
    ("fleet import", &["{devices}", "--dry-run"], Document),
    ("fleet import", &["{devices}"], Document),
    ("fleet list", &[], Document),
    ("fleet list", &["--at", "yesterday"], Error("usage")),
    ("fleet list", &["--group", "none"], Error("not_found")),
    ("fleet export", &["{folder}/out.csv", "--stays", "{folder}/stays.csv"], Document),
    ("fleet export", &["{folder}", "--stays", "{folder}/stays.csv"], Error("usage")),
    ("fleet show", &["{eid}"], Document),
    ("fleet show", &["{unknown_eid}"], Error("not_found")),
    ("fleet residents", &[], Document),
    ("fleet breaches", &[], Document),
    ("fleet breaches", &["--group", "none"], Error("not_found")),
    ("fleet markets", &[], Document),
    ("fleet markets", &["--rules", "{text}"], Error("usage")),
    ("fleet effort", &[], Document),
    ("fleet effort", &["--bearer", "none"], Error("not_found")),
    ("fleet effort", &["--costs", "{text}"], Error("usage")),
    ("fleet recovery", &[], Document),
    ("fleet recovery", &["--move", "none"], Error("not_found")),
    ("fleet recovery", &["--came-back", "60", "--lost", "60"], Error("usage")),
    ("fleet what-if", &["--carrier-ends", "724-05=2027-01-31"], Document),
    ("fleet what-if", &["--with", "{text}"], Error("usage")),
    ("fleet what-if", &["--with", "{folder}/missing.toml"], Error("not_found")),
    ("fleet decide", &[], Document),
    ("fleet decide", &["--owner", "{text}"], Error("usage")),
    ("fleet token", &["{unknown_eid}"], Error("not_found")),
    ("fleet token", &["{eid}"], Document),
    ("fleet edit", &["{eid}", "--label", "kiosk"], Document),
    ("fleet edit", &["{unknown_eid}", "--label", "kiosk"], Error("not_found")),
    ("fleet campaign create", &["{campaign}", "--dry-run"], Document),
    ("fleet campaign create", &["{campaign}"], Document),
    ("fleet campaign create", &["{campaign}"], Error("usage")),
    ("fleet campaign create", &["{text}"], Error("usage")),
    ("fleet campaign create", &["{folder}/missing.toml"], Error("not_found")),
    ("fleet campaign list", &[], Document),
    ("fleet campaign show", &["standing"], Document),
    ("fleet campaign show", &["none"], Error("not_found")),
    ("fleet campaign pause", &["standing"], Error("usage")),
    ("fleet campaign start", &["standing"], Document),
    ("fleet campaign start", &["none"], Error("not_found")),
    ("fleet campaign pause", &["standing"], Document),
    ("fleet campaign pause", &["none"], Error("not_found")),
    ("fleet campaign resume", &["standing"], Document),
    ("fleet campaign resume", &["none"], Error("not_found")),
    ("fleet campaign remove", &["standing"], Error("usage")),
    ("fleet campaign roll-back", &["standing"], Document),
    ("fleet campaign roll-back", &["none"], Error("not_found")),
    ("fleet campaign remove", &["standing"], Document),
    ("fleet campaign remove", &["none"], Error("not_found")),
    ("fleet retire", &["{eid}"], Document),
    ("fleet retire", &["{eid}"], Error("usage")),
    ("fleet retire", &["{unknown_eid}"], Error("not_found")),
    ("localize rules", &[], Document),
    ("localize rules", &["--rules", "{text}"], Error("usage")),
    ("localize rules", &["--rules", "{folder}/missing.toml"], Error("not_found")),
    ("localize rules update", &["--dry-run", "../crates/localize/data/countries.toml"], Document),
    ("localize rules update", &["{text}"], Error("usage")),
    ("localize rules update", &["{folder}/missing.toml"], Error("not_found")),
    ("localize rules alerts", &["--within", "30"], Document),
    ("localize rules alerts", &["--rules", "{text}"], Error("usage")),
    ("localize rules template", &["north-america"], Document),
    ("localize rules template", &["mars"], Error("usage")),
    ("localize decide", &["{device}"], Document),
    ("localize decide", &["{text}"], Error("usage")),
    ("localize decide", &["{folder}/missing.json"], Error("not_found")),
];

const CHECKS: &[Case] = &[
    ("check sm-dp", &["--list"], Document),
    ("check sm-dp", &["--own", "--case", "InitiateAuthentication"], Document),
    ("check sm-dp", &["--own", "--case", "no such case"], MissedExpectation),
    ("check sm-dp", &["--sm-dp", "{closed}", "--admin", "none"], Error("unreachable")),
    ("check sm-dp", &["--ca", "{folder}/missing.der"], Error("not_found")),
    ("check eim", &["--list"], Document),
    ("check eim", &["--own", "--case", "User-Agent"], Document),
    ("check eim", &["--own", "--case", "no such case"], MissedExpectation),
    ("check eim", &["--api", "{closed}"], Error("unreachable")),
    ("check eim", &["--eim-configuration", "{folder}/missing.json"], Error("not_found")),
    ("check eim", &["--api", "none"], Error("usage")),
    ("check ipa", &["--list"], Document),
    ("check ipa", &["--case", "User-Agent", "--data-dir", "{folder}/ipa", "--", "true"], MissedExpectation),
    ("check ipa", &["--listen", "{sm_dp}", "--data-dir", "{folder}/ipa"], Error("usage")),
    ("check device", &["--list"], Document),
    ("check device", &["--fault", "{fault}", "--data-dir", "{folder}/checked", "--", "{lpa}"], Document),
    ("check device", &["--fault", "{fault}", "--retries", "0", "--", "true"], Error("expectation")),
    ("check device", &["--fault", "{fault}", "--", "no-such-lpa"], Error("not_found")),
    ("check device", &["--fault", "no-such-fault", "--", "true"], Error("usage")),
    ("check card", &["--list"], Document),
    ("check card", &["--card", "{closed}", "--fault", "apdu/*EUICCInfo*"], Error("unreachable")),
    ("check card", &["--fault", "no-such-fault"], Error("usage")),
];

const DEMO: &[Case] = &[
    ("demo", &["--profile", "{text}"], Error("usage")),
    ("demo", &["--profile", "{folder}/missing.der"], Error("not_found")),
    ("demo", &[], Document),
];

const IOT: &[Case] = &[
    ("eim configuration", &["--api", "{eim_api}"], Document),
    ("eim configuration", &["--api", "{closed}"], Error("unreachable")),
    ("eim order", &["{m2m_eid}", "list", "--api", "{eim_api}"], Error("refused")),
    ("eim register", &["{m2m_eid}", "--api", "{eim_api}"], Document),
    ("eim register", &["{m2m_eid}", "--api", "{closed}"], Error("unreachable")),
    ("eim order", &["{m2m_eid}", "list", "enable:{iccid}", "--api", "{eim_api}"], Document),
    ("eim order", &["{m2m_eid}", "enable:{iccid}", "list", "--api", "{eim_api}"], Error("refused")),
    ("eim order", &["{m2m_eid}", "list", "data", "--api", "{eim_api}"], Error("usage")),
    ("eim order", &["{m2m_eid}", "add-eim:{text}", "--api", "{eim_api}"], Error("usage")),
    ("eim order", &["{m2m_eid}", "data", "--wait", "1ms", "--api", "{eim_api}"], Error("not_found")),
    ("eim order", &["{m2m_eid}", "data", "--api", "{closed}"], Error("unreachable")),
    ("eim list", &["--api", "{eim_api}"], Document),
    ("eim list", &["devices", "--api", "{eim_api}"], Document),
    ("eim list", &["notifications", "--api", "{eim_api}"], Document),
    ("eim list", &["events", "--api", "{eim_api}"], Document),
    ("eim list", &["orders", "colour=red", "--api", "{eim_api}"], Error("refused")),
    ("eim list", &["--api", "{closed}"], Error("unreachable")),
    ("eim cancel", &["{eim_order}", "--api", "{eim_api}"], Document),
    ("eim cancel", &["{eim_order}", "--api", "{eim_api}"], Error("refused")),
    ("eim cancel", &["00", "--api", "{closed}"], Error("unreachable")),
];

const SERVERS: &[Case] = &[
    (
        "eim serve",
        &["--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0", "--data-dir", "{folder}/eim"],
        Server,
    ),
    ("eim serve", &["--listen", "{sm_dp}", "--data-dir", "{folder}/other"], Error("usage")),
    ("up", &["{any_ports}", "--data-dir", "{folder}/up"], Server),
    (
        "up",
        &[
            "{any_ports}",
            "--iot",
            "--listen-eim",
            "127.0.0.1:0",
            "--listen-eim-api",
            "127.0.0.1:0",
            "--data-dir",
            "{folder}/up-iot",
        ],
        Server,
    ),
    ("up", &["--preset", "{text}", "--data-dir", "{folder}/up"], Error("usage")),
    ("up", &["--profile", "{folder}/missing.der", "--data-dir", "{folder}/up"], Error("not_found")),
    ("sm-dp serve", &["{any_ports}", "--data-dir", "{folder}/sm-dp"], Server),
    ("sm-dp serve", &["--listen", "{sm_ds}", "--data-dir", "{folder}/other"], Error("usage")),
    (
        "sm-dp serve",
        &["{any_ports}", "--profile", "{folder}/missing.der", "--data-dir", "{folder}/other"],
        Error("not_found"),
    ),
    ("sm-ds serve", &["{any_ports}", "--data-dir", "{folder}/sm-ds"], Server),
    ("sm-ds serve", &["--listen", "{sm_dp}", "--data-dir", "{folder}/other"], Error("usage")),
    (
        "sm-sr serve",
        &["--listen", "127.0.0.1:0", "--listen-cards", "none", "--data-dir", "{folder}/sm-sr"],
        Server,
    ),
    ("sm-sr serve", &["--listen", "{sm_dp}", "--data-dir", "{folder}/other"], Error("usage")),
    (
        "sm-sr serve",
        &[
            "--listen",
            "127.0.0.1:0",
            "--listen-cards",
            "none",
            "--peers",
            "{folder}/missing.toml",
            "--data-dir",
            "{folder}/other",
        ],
        Error("not_found"),
    ),
    ("network", &["{any_ports}", "--data-dir", "{folder}/network"], Server),
    ("network", &["--listen", "{sm_dp}", "--data-dir", "{folder}/other"], Error("usage")),
    (
        "network",
        &["{any_ports}", "--networks", "{folder}/missing.toml", "--data-dir", "{folder}/other"],
        Error("not_found"),
    ),
    ("euicc serve", &["{any_ports}", "--ram"], Server),
    ("euicc serve", &["--cards", "{folder}/missing.toml"], Error("not_found")),
    ("euicc serve", &["--listen", "{sm_dp}", "--ram"], Error("usage")),
    (
        "fleet serve",
        &["--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0", "--data-dir", "{folder}/fleet"],
        Server,
    ),
    ("fleet serve", &["--listen", "{sm_dp}", "--data-dir", "{folder}/fleet"], Error("usage")),
    ("fleet serve", &["--pki", "{folder}/missing", "--data-dir", "{folder}/fleet"], Error("not_found")),
    ("operator listen", &["--listen", "127.0.0.1:0"], Server),
    ("operator listen", &["--listen", "{sm_dp}"], Error("usage")),
    ("operator listen", &["--pki", "{folder}/missing"], Error("not_found")),
    ("operator m2m listen", &["--listen", "127.0.0.1:0"], Server),
    ("operator m2m listen", &["--listen", "{sm_dp}"], Error("usage")),
    ("operator m2m listen", &["--pki", "{folder}/missing"], Error("not_found")),
    ("faults serve", &["--listen", "127.0.0.1:0", "--before", "smdp.example.com"], Server),
    ("faults serve", &["--listen", "{sm_dp}", "--before", "smdp.example.com"], Error("usage")),
    (
        "faults serve",
        &["--listen", "127.0.0.1:0", "--before", "smdp.example.com", "--trust", "{folder}/missing.der"],
        Error("not_found"),
    ),
    ("network add", &["{more}", "--network", "{network}"], Document),
    ("network add", &["{text}", "--network", "{network}"], Error("usage")),
    ("network add", &["{folder}/missing.der", "--network", "{network}"], Error("not_found")),
    ("network add", &["{package}", "--network", "{closed}"], Error("unreachable")),
    ("network list", &["--network", "{network}"], Document),
    ("network list", &["networks", "--network", "{network}"], Document),
    ("network list", &["--network", "{closed}"], Error("unreachable")),
    ("network list", &["operators"], Error("usage")),
    ("network remove", &["{imsi}", "--network", "{network}"], Document),
    ("network remove", &["{imsi}", "--network", "{network}"], Error("refused")),
    ("network remove", &["{imsi}", "--network", "{closed}"], Error("unreachable")),
    ("network remove", &["12"], Error("usage")),
    ("device run", &["--data-dir", "{folder}/running"], Server),
    ("device run", &["--imei", "1"], Error("usage")),
    ("device run", &["--card", "{closed}"], Error("unreachable")),
];

const OTHERS: &[Case] = &[
    ("faults", &[], Document),
    ("faults", &["--family", "weather"], Error("usage")),
    ("trace", &["{trace}"], Lines),
    ("trace", &["{trace}", "--to", "{folder}/trace.pcapng"], Text),
    ("trace", &["{text}"], Error("usage")),
    ("trace", &["{folder}/missing.jsonl"], Error("not_found")),
    ("explain", &["8.2.6/3.8", "6A88", "BF3103800105"], Document),
    ("explain", &["no-such-code"], Error("usage")),
    ("euicc lpac", &["--lpac", "{lpac}", "--data-dir", "{folder}/lpac", "profile", "list"], Lines),
    (
        "euicc lpac",
        &["--lpac", "no-such-lpac", "--data-dir", "{folder}/lpac", "profile", "list"],
        Error("not_found"),
    ),
    ("euicc lpac", &["--card", "{closed}", "profile", "list"], Error("unreachable")),
    ("completions", &["bash"], Text),
    ("completions", &["no-such-shell"], Error("usage")),
    ("man", &["{folder}/man"], Text),
    ("man", &["{text}"], Error("usage")),
];

/// Commands that print no JSON if they succeed.
const WITHOUT_JSON: [&str; 2] = ["completions", "man"];

/// A scenario whose expectations are met.
const SCENARIO: &str = r#"
title = "A meter at home"
lasts = "1d"

[[network]]
plmn = "234-91"
name = "Albion"

[[network]]
plmn = "724-91"
name = "Brasil Um"

[[operator]]
network = "234-91"

[[devices]]
name = "meters"
count = 1
bootstrap = "234-91"
journey = [{ at = "0d", in = "GB" }]

[[expect]]
that = "the meter has service"
on = "234-91"
"#;

/// An expectation that the scenario does not meet.
const MISSED: &str = r#"
[[expect]]
that = "the meter is in Brazil"
on = "724-91"
"#;

#[test]
fn every_command_prints_documents_of_its_schema_and_ends_with_the_status_of_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::new(folder.path());
    let schemas = Schemas::new();
    let (setup, schemas) = (&setup, &schemas);
    let all = |cases: &'static [Case]| {
        move || cases.iter().filter_map(|case| run(case, setup, schemas).err()).collect::<Vec<_>>()
    };
    let invalid = move || {
        let with_output = cli::command::outputs().map(|output| output.command);
        // The arguments of lpac are not checked, but there must be one.
        let arguments: fn(&str) -> &[&str] =
            |command| if command == "euicc lpac" { &[] } else { &["--no-such-flag"] };
        let case = |command| (command, arguments(command), Error("usage"));
        with_output.filter_map(|command| run(&case(command), setup, schemas).err()).collect::<Vec<_>>()
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let mut groups: Vec<_> = GROUPS.iter().map(|cases| scope.spawn(all(cases))).collect();
        groups.push(scope.spawn(invalid));
        groups.into_iter().flat_map(|group| group.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

impl Expected {
    /// The kind of the error, or `result`.
    fn kind(self) -> &'static str {
        match self {
            Document | Lines | Server | Text => "result",
            MissedExpectation => "expectation",
            Error(kind) => kind,
            ErrorWithStatus => "refused",
        }
    }
}

/// The tested kinds of each command.
fn kinds() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut kinds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for output in cli::command::outputs() {
        kinds.entry(output.command).or_default().insert("usage");
    }
    for (command, _, expected) in GROUPS.iter().flat_map(|cases| *cases) {
        kinds.entry(command).or_default().insert(expected.kind());
    }
    kinds
}

#[test]
fn every_command_has_a_case_for_success() {
    for (command, kinds) in kinds() {
        assert!(kinds.contains("result"), "{command}: no case for success in cli/tests/json.rs");
        let prints = cli::command::outputs().any(|output| output.command == command);
        assert_eq!(prints, !WITHOUT_JSON.contains(&command), "{command}");
    }
}

#[test]
fn the_page_has_the_table_of_cases() {
    page::compare(&kinds());
}
