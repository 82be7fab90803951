//! All SGP.23 cases over TLS, against a server of this project or the server in the environment
//! variables.
//!
//! ```text
//! LANDFALL_SGP23_SERVER=host:port LANDFALL_SGP23_PKI=folder [LANDFALL_SGP23_ADMIN=host:port]
//! [LANDFALL_SGP23_MATCHING_IDS=a,b] [LANDFALL_SGP23_CASE=text] cargo test -p tests --test sgp23
//! ```

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cli::check::{OwnServer, ServerFacts, server};
use cli::settings::Settings;
use http::{Request, Response};
use rsp::der::{Asn1, Reader, tlv, tlv_bytes};
use rsp::finding::{self, FindingKind};
use rsp::sgp22::asn1::{self, Exchange};
use rsp::sgp22::es9plus::{
    AuthenticateClient, AuthenticateClientRequest, CancelSession, GetBoundProfilePackage,
    GetBoundProfilePackageRequest, HandleNotification,
};
use rsp::sgp22::es10b::{AuthenticateServerResponse, PrepareDownloadResponse};
use rsp::sgp22::{EuiccInfo2, Function, json, uicc_capability};
use rsp::status::Status;
use serde::{Serialize, de::DeserializeOwned};
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

fn seeded(name: &str) -> World {
    World::new(ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap()), SeededRandom::from_text(name))
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
    let own =
        OwnServer::start(&settings(), &seeded("server"), Arc::new(MemoryEvents::default())).await.unwrap();
    let server = server(&own.settings, own.pki.clone(), seeded("tester"), own.known()).await.unwrap();
    for strict in [false, true] {
        let mut wrong = Vec::new();
        let selection = Selection { strict, ..selection() };
        let report = sgp23::run(&server, &sgp23::table(), &selection, |entry, _| {
            if entry.ended != Ended::Passed {
                wrong.push(entry.line());
            }
        })
        .await;
        println!("{}", report.summary());
        assert!(wrong.is_empty(), "strict: {strict}\n{}", wrong.join("\n"));
        assert!(report.is_good(), "strict: {strict}, {}", report.summary());
    }
    own.stop().await;
}

/// Returns a link to a server whose responses deviate in ways that no standard requires to refuse:
/// an unknown element, and HTTP status 201.
fn deviating(server: Link) -> Link {
    link_from(tower::service_fn(move |request: Request<Bytes>| {
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
    let own =
        OwnServer::start(&settings(), &seeded("server"), Arc::new(MemoryEvents::default())).await.unwrap();
    let mut server = server(&own.settings, own.pki.clone(), seeded("tester"), own.known()).await.unwrap();
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

/// A response of a server that refuses a request although no standard asks for it, or `None` if the
/// request is not one that it refuses.
type Refuse = fn(&Request<Bytes>, &mut BTreeSet<Vec<u8>>) -> Option<Response<Bytes>>;

/// The title of each case about a request that must not be refused, and a refusal of this request.
/// The second argument of the refusal is the state of the server between requests.
const REFUSALS: &[(&str, Refuse)] = &[
    ("an extCardResource that cannot be read does not mean a lack of memory", |request, _| {
        let proof = decoded::<AuthenticateClient>(request)?.ok()?;
        let is_unreadable = Reader::new(&info2_of(&proof)?.ext_card_resource).tlv().is_err();
        is_unreadable.then(|| refused::<AuthenticateClient>(request, Status::EuiccInsufficientMemory))
    }),
    (
        "an eUICC of version 2.2 is not refused because of a capability whose bit was reserved",
        |request, _| {
            let proof = decoded::<AuthenticateClient>(request)?.ok()?;
            let is_missing = !info2_of(&proof)?.uicc_capability.has(uicc_capability::GET_IDENTITY);
            is_missing.then(|| refused::<AuthenticateClient>(request, Status::ProfileNotEligible))
        },
    ),
    ("a notification that cannot be decoded is acknowledged", |request, _| {
        decoded::<HandleNotification>(request)?.is_err().then(bad_request)
    }),
    ("a notification with an ICCID in another coding is acknowledged", |request, _| {
        let (_, findings) = finding::collect(|| decoded::<HandleNotification>(request));
        findings.iter().any(|finding| finding.kind == FindingKind::IccidCoding).then(bad_request)
    }),
    ("a session can be cancelled after a wrong confirmation code", |request, ended| {
        if let Some(Ok(GetBoundProfilePackageRequest {
            transaction_id,
            prepare_download_response: PrepareDownloadResponse::DownloadResponseOk(ok),
        })) = decoded::<GetBoundProfilePackage>(request)
            && ok.euicc_signed2.hash_cc == Some(crypto::hash_cc("0000", &transaction_id.0))
        {
            ended.insert(transaction_id.0);
        }
        let cancel = decoded::<CancelSession>(request)?.ok()?;
        ended
            .contains(&cancel.transaction_id.0)
            .then(|| refused::<CancelSession>(request, Status::TransactionUnknown))
    }),
];

/// Decodes the request of a function in both bindings. `None` means that it is another function.
fn decoded<F>(request: &Request<Bytes>) -> Option<Result<F::Request, String>>
where
    F: Function<Request: Asn1 + DeserializeOwned>,
{
    if request.uri().path() == asn1::PATH {
        let is_this = asn1::function_tag(request.body()).unwrap() == F::Request::TAG;
        return is_this.then(|| asn1::read(request.body()).map_err(|error| error.to_string()));
    }
    let is_this = request.uri().path() == F::path();
    is_this.then(|| serde_json::from_slice(request.body()).map_err(|error| error.to_string()))
}

fn info2_of(request: &AuthenticateClientRequest) -> Option<&EuiccInfo2> {
    match &request.authenticate_server_response {
        AuthenticateServerResponse::AuthenticateResponseOk(ok) => Some(&ok.euicc_signed1.euicc_info2),
        AuthenticateServerResponse::AuthenticateResponseError(_) => None,
    }
}

fn refused<F: Exchange<Reply: Serialize>>(request: &Request<Bytes>, status: Status) -> Response<Bytes> {
    let version = json::protocol_version(request.headers()).unwrap();
    let refusal = status.because("the server refuses more than the standard");
    match request.uri().path() {
        asn1::PATH => asn1::response::<F>(version, Err(&refusal)),
        _ => json::response::<F::Reply>(version, Err(refusal)),
    }
}

fn bad_request() -> Response<Bytes> {
    Response::builder().status(http::StatusCode::BAD_REQUEST).body(Bytes::new()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_fails_for_a_server_that_refuses_what_it_must_accept() {
    let own =
        OwnServer::start(&settings(), &seeded("server"), Arc::new(MemoryEvents::default())).await.unwrap();
    for (title, refuse) in REFUSALS {
        let mut server = server(&own.settings, own.pki.clone(), seeded(title), own.known()).await.unwrap();
        let (lpa, ended) = (server.lpa.clone(), Arc::new(Mutex::new(BTreeSet::new())));
        server.lpa = link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (lpa, refusal) = (lpa.clone(), refuse(&request, &mut ended.lock().unwrap()));
            async move {
                match refusal {
                    Some(refusal) => Ok::<_, LinkFault>(refusal),
                    None => world::send(&lpa, request).await,
                }
            }
        }));
        let selection = Selection { filter: (*title).to_owned(), ..Selection::default() };
        let report = sgp23::run(&server, &sgp23::table(), &selection, |_, _| {}).await;
        assert_eq!(report.entries.len(), 4, "{title}: both bindings and both curves");
        for entry in &report.entries {
            assert!(matches!(entry.ended, Ended::Failed(_)), "{}", entry.line());
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
