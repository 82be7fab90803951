//! All SGP.23 cases over TLS, against a server of this project or the server in the environment
//! variables.
//!
//! ```text
//! LANDFALL_SGP23_SERVER=host:port LANDFALL_SGP23_PKI=folder [LANDFALL_SGP23_ADMIN=host:port]
//! [LANDFALL_SGP23_MATCHING_IDS=a,b] [LANDFALL_SGP23_CASE=text] cargo test -p tests --test sgp23
//! ```

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::{collections::BTreeSet, fmt::Write, fs, path::PathBuf, sync::Arc};

use bytes::Bytes;
use cli::check::{OwnServer, ServerFacts, server};
use cli::settings::Settings;
use rsp::der::{tlv, tlv_bytes};
use rsp::finding::FindingKind;
use sgp23::{Ended, Row, Selection, Server};
use world::{Link, LinkFault, ManualClock, MemoryEvents, SeededRandom, World, link_from};

fn variable(name: &str) -> Option<String> {
    std::env::var(format!("LANDFALL_SGP23_{name}")).ok().filter(|value| !value.is_empty())
}

fn settings() -> Settings {
    Settings::with_data_dir(PathBuf::from("landfall-data"))
}

fn selection() -> Selection {
    Selection { filter: variable("CASE").unwrap_or_default(), ..Selection::default() }
}

/// Returns the server in the environment variables, if there is one.
async fn another() -> Option<Server> {
    let settings = Settings {
        sm_dp: variable("SERVER")?,
        pki: variable("PKI").map_or_else(|| settings().pki, PathBuf::from),
        admin: variable("ADMIN"),
        ..settings()
    };
    let pki = cli::pki::load(&settings.pki).unwrap();
    let codes = variable("MATCHING_IDS").unwrap_or_default();
    let codes = codes.split(',').filter(|code| !code.is_empty()).map(str::to_owned).collect();
    let (world, _) = cli::parties::os_world().unwrap();
    Some(server(&settings, pki, world, ServerFacts { codes, ..ServerFacts::default() }).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_passes() {
    if let Some(server) = another().await {
        let report = sgp23::run(&server, &sgp23::table(), &selection(), |entry, _| {
            if entry.ended != Ended::Passed {
                println!("{}", entry.line());
            }
        })
        .await;
        println!("{}", report.summary());
        assert!(report.is_good());
        return;
    }
    let world = |name| {
        World::new(ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap()), SeededRandom::from_text(name))
    };
    let own =
        OwnServer::start(&settings(), &world("server"), Arc::new(MemoryEvents::default())).await.unwrap();
    let server = server(&own.settings, own.pki.clone(), world("tester"), own.known()).await.unwrap();
    let mut wrong = Vec::new();
    let report = sgp23::run(&server, &sgp23::table(), &selection(), |entry, _| {
        if entry.ended != Ended::Passed {
            wrong.push(entry.line());
        }
    })
    .await;
    own.stop().await;
    println!("{}", report.summary());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(report.is_good(), "{}", report.summary());
}

/// Returns a link to a server whose responses deviate in ways that no standard requires to refuse:
/// an unknown element, and HTTP status 201.
fn deviating(server: Link) -> Link {
    link_from(tower::service_fn(move |request: http::Request<Bytes>| {
        let server = server.clone();
        async move {
            let mut response = world::send(&server, request).await?;
            if response.status() != http::StatusCode::OK {
                return Ok::<_, LinkFault>(response);
            }
            *response.status_mut() = http::StatusCode::CREATED;
            let body = match tlv::split(response.body()) {
                Some((message, inner)) => {
                    let (function, contents) = tlv::split(inner).unwrap();
                    let unknown = [contents, &[0x9F, 0x7F, 0x01, 0x00]].concat();
                    tlv_bytes(message, &tlv_bytes(function, &unknown))
                }
                None => {
                    let mut body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
                    body["unknownMember"] = serde_json::json!([1]);
                    serde_json::to_vec(&body).unwrap()
                }
            };
            *response.body_mut() = body.into();
            Ok(response)
        }
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deviating_server_passes_with_findings_and_fails_if_the_check_is_strict() {
    let world = |name| {
        World::new(ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap()), SeededRandom::from_text(name))
    };
    let own =
        OwnServer::start(&settings(), &world("server"), Arc::new(MemoryEvents::default())).await.unwrap();
    let mut server = server(&own.settings, own.pki.clone(), world("tester"), own.known()).await.unwrap();
    server.lpa = deviating(server.lpa);
    server.operator = server.operator.map(|operator| {
        let link = deviating(operator.link.clone());
        operator.with_link(link)
    });
    for strict in [false, true] {
        let selection = Selection { filter: "GetBoundProfilePackage".into(), strict, ..Selection::default() };
        let report = sgp23::run(&server, &sgp23::table(), &selection, |_, _| {}).await;
        assert!(report.entries.len() > 4, "{}", report.summary());
        for entry in &report.entries {
            let kinds: BTreeSet<_> = entry.findings.iter().map(|finding| finding.kind).collect();
            let expected = [FindingKind::UnknownElement, FindingKind::HttpStatus];
            assert!(expected.iter().all(|kind| kinds.contains(kind)), "{}: {kinds:?}", entry.line());
            match (strict, &entry.ended) {
                (false, Ended::Passed) | (true, Ended::Failed(_)) => {}
                _ => panic!("strict: {strict}, {}", entry.line()),
            }
        }
    }
    own.stop().await;
}

/// docs/sgp23.md is generated from the table.
#[test]
fn the_page_matches_the_table() {
    let mut fresh = String::from(
        "# Cases of SGP.23\n\nGenerated from the table of `sgp23`, which `landfall check sm-dp` and `cargo test -p tests --test sgp23` run.\n\
                 ES9+ cases run in both bindings and on both curves. The SGP.23 identifier is omitted where it is not known for sure;\n\
                 such a case is identified by its SGP.22 clause and its title.\n\n\
                 | function | SGP.22 | SGP.23 | request | needs |\n|---|---|---|---|---|\n",
    );
    for row in sgp23::table().iter().map(Row::of) {
        let id = row.id.unwrap_or_default();
        writeln!(fresh, "| {} | {} | {id} | {} | {} |", row.function, row.clause, row.title, row.needs)
            .unwrap();
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/sgp23.md");
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == fresh,
        "docs/sgp23.md is stale; LANDFALL_REGENERATE=1 cargo test -p tests --test sgp23 the_page"
    );
}
