//! `landfall fleet serve`: a device checks in over TLS, receives the activation code of a profile
//! that the platform ordered, downloads the profile and reports it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use cli::parties::tls_roots;
use common::{Running, fail, landfall, succeed};
use http::{Request, StatusCode, header};
use net::{Client, ClientTls, OsClock};
use serde_json::{Value, json};
use world::{Clock, Link};

const CAMPAIGN: &str = "id = \"standing\"\ntarget = \"decided\"\nstanding = true\n";

async fn post(link: &Link, path: &str, token: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Bytes::from(body.to_string()))
        .unwrap();
    let response = world::send(link, request).await.unwrap();
    (response.status(), serde_json::from_slice(response.body()).unwrap())
}

fn result(folder: &Path, arguments: &[&str]) -> Value {
    let printed = succeed(landfall(folder).arg("--json").args(arguments));
    serde_json::from_str(&printed).unwrap()
}

#[tokio::test]
async fn a_device_checks_in_and_downloads_the_ordered_profile() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    succeed(landfall(folder).args(["certs", "init"]));
    let sm_dp = Running::start(landfall(folder).args(["sm-dp", "serve", "--listen", "127.0.0.1:0"]));
    let sm_dp_at = sm_dp.err.word_after("SM-DP+ at ");
    let package = file("local.der", "");
    succeed(landfall(folder).args(["profile", "new", &package, "--number", "1"]));
    let iccid = succeed(landfall(folder).args(["sm-dp", "add", &package, "--sm-dp", &sm_dp_at]));
    let iccid = iccid.trim();
    let eid = result(folder, &["device", "info"])["eid"].as_str().unwrap().to_owned();

    let owner = file("owner.toml", &format!("[[offer]]\nnetwork = \"724-02\"\niccid = \"{iccid}\"\n"));
    let bootstrap = "8944476500001224158";
    let devices = format!(
        "eid,label,profiles,network,home,since\n\
         {eid},kiosk,{bootstrap} 234-15 bootstrap enabled,724-05,234-15,2026-01-01\n"
    );
    succeed(landfall(folder).args(["fleet", "import", &file("devices.csv", &devices)]));
    let campaign = file("standing.toml", CAMPAIGN);
    let planned = result(folder, &["fleet", "campaign", "create", &campaign, "--dry-run", "--owner", &owner]);
    assert_eq!(planned[0]["plan"], "move", "{planned}");
    succeed(landfall(folder).args(["fleet", "campaign", "create", &campaign, "--start"]));

    let serve =
        ["fleet", "serve", "--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0", "--sm-dp", &sm_dp_at];
    let platform = Running::start(landfall(folder).args(serve).args(["--owner", &owner]));
    let api = platform.err.word_after("owner's API at http://");
    let address = platform.err.word_after("platform at ");
    let pki = cli::pki::load(&folder.join("pki")).unwrap();
    let tls = ClientTls::new(&tls_roots(&pki), None, Arc::new(OsClock)).unwrap();
    let link = Client::default().link(&address, Some(tls)).unwrap();
    let token = succeed(landfall(folder).args(["fleet", "token", &eid])).trim().to_owned();

    let mut printed = json!({
        "eid": eid, "at": OsClock.now(), "registered": { "network": "724-05", "iccid": bootstrap },
        "profiles": [{ "iccid": bootstrap, "enabled": true }],
    });
    let (status, problem) = post(&link, "/v1/check-in", "00", &printed).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{problem}");
    let (status, instruction) = post(&link, "/v1/check-in", &token, &printed).await;
    assert_eq!(status, StatusCode::OK, "{instruction}");
    let ordered = &instruction["what"]["move"];
    assert_eq!(ordered["to"]["download"]["iccid"], iccid, "{instruction}");
    assert_eq!(ordered["fall_back_to"], bootstrap);
    let code = ordered["to"]["download"]["code"].as_str().unwrap();
    succeed(landfall(folder).args(["device", "download", code, "--sm-dp", &sm_dp_at]));

    printed["ended"] = json!({ "order": ordered["order"], "ending": "moved" });
    printed["registered"]["iccid"] = json!(iccid);
    printed["profiles"] =
        json!([{ "iccid": bootstrap, "enabled": false }, { "iccid": iccid, "enabled": true }]);
    let (_, instruction) = post(&link, "/v1/check-in", &token, &printed).await;
    assert_eq!(instruction["what"], "nothing");
    let shown = result(folder, &["fleet", "campaign", "show", "standing"]);
    assert_eq!((&shown["progress"]["moved"], &shown["progress"]["under_way"]), (&json!(1), &json!(0)));
    let device = result(folder, &["fleet", "show", &eid]);
    assert_eq!(device["device"]["connection"]["held"][1]["iccid"], iccid);

    // The owner's API is at another address and not available to devices.
    let (status, _) = post(&link, "/v1/campaigns/standing/pause", &token, &json!({ "by": "me" })).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let owners = Client::default().link(&api, None).unwrap();
    let (status, paused) = post(&owners, "/v1/campaigns/standing/pause", "", &json!({ "by": "Ada" })).await;
    assert_eq!((status, &paused["state"]["is"]), (StatusCode::OK, &json!("paused")));
    assert!(fail(landfall(folder).args(serve)).contains("fleet"), "a second platform is refused");
}

/// Without a rule, the meter stays in Brazil. The update makes a rule valid at once, and survives a
/// restart.
#[tokio::test]
async fn a_running_platform_uses_updated_rules_at_the_next_check_in() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    succeed(landfall(folder).args(["certs", "init"]));
    let eid = result(folder, &["device", "info"])["eid"].as_str().unwrap().to_owned();
    let (bootstrap, local) = ("8944476500001224158", "8955000000000000007");
    let devices = format!(
        "eid,label,profiles,network,home,since\n{eid},meter,{bootstrap} 234-15 bootstrap enabled; \
         {local} 724-02 local disabled,724-05,234-15,2026-01-01\n"
    );
    succeed(landfall(folder).args(["fleet", "import", &file("devices.csv", &devices)]));
    let none = file("none.toml", "");
    succeed(landfall(folder).args(["localize", "rules", "update", &none]));
    let campaign = file("standing.toml", CAMPAIGN);
    succeed(landfall(folder).args(["fleet", "campaign", "create", &campaign, "--start"]));
    let token = succeed(landfall(folder).args(["fleet", "token", &eid])).trim().to_owned();
    let ban = "[[rule]]\nid = 'ban'\ncountries = ['BR']\nkind = 'banned'\nsource = 's'\n\
               reviewed = '2026-11-25'\nconfidence = 'high'\n";
    let ban = file("ban.toml", ban);

    let serve = ["fleet", "serve", "--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0"];
    let check_in = async |address: &str| {
        let pki = cli::pki::load(&folder.join("pki")).unwrap();
        let tls = ClientTls::new(&tls_roots(&pki), None, Arc::new(OsClock)).unwrap();
        let link = Client::default().link(address, Some(tls)).unwrap();
        let report = json!({
            "eid": eid, "at": OsClock.now(), "registered": { "network": "724-05", "iccid": bootstrap },
        });
        post(&link, "/v1/check-in", &token, &report).await.1["what"].clone()
    };
    let platform = Running::start(landfall(folder).args(serve));
    let api = platform.err.word_after("owner's API at http://");
    let address = platform.err.word_after("platform at ");
    assert_eq!(check_in(&address).await, "nothing");
    // The running platform has the data folder, so the file is not replaced behind its back.
    let error = fail(landfall(folder).args(["localize", "rules", "update", &ban]));
    assert!(error.contains("--platform"), "{error}");
    let updated =
        result(folder, &["localize", "rules", "update", &ban, "--platform", &format!("http://{api}")]);
    assert_eq!((&updated["replaced"], &updated["diff"]["added"][0]["id"]), (&json!(true), &json!("ban")));
    assert_eq!(updated["effect"]["affected"][0]["after"]["decision"], "move", "{updated}");
    let instruction = check_in(&address).await;
    assert_eq!(instruction["move"]["to"]["enable"], local, "{instruction}");
    drop(platform);

    let platform = Running::start(landfall(folder).args(serve));
    let api = platform.err.word_after("owner's API at http://");
    let again = result(folder, &["localize", "rules", "update", &ban, "--platform", &api, "--dry-run"]);
    assert_eq!(again["diff"], json!({ "added": [], "removed": [], "changed": [] }));
    drop(platform);
    // The rules of another file are not replaced.
    let platform = Running::start(landfall(folder).args(serve).args(["--rules", &none]));
    let api = platform.err.word_after("owner's API at http://");
    let error = fail(landfall(folder).args(["localize", "rules", "update", &ban, "--platform", &api]));
    assert!(error.contains("without --rules"), "{error}");
}

#[test]
fn a_device_reports_that_the_networks_refuse_its_connection() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(landfall(folder).args(["certs", "init"]));
    let sm_dp = Running::start(landfall(folder).args(["sm-dp", "serve", "--listen", "127.0.0.1:0"]));
    let sm_dp_at = sm_dp.err.word_after("SM-DP+ at ");
    let package = folder.join("local.der").to_str().unwrap().to_owned();
    succeed(landfall(folder).args(["profile", "new", &package, "--number", "1"]));
    let iccid = succeed(landfall(folder).args(["sm-dp", "add", &package, "--sm-dp", &sm_dp_at]));
    let iccid = iccid.trim();
    let order = ["operator", "order", iccid, "--sm-dp", &sm_dp_at];
    let code = succeed(landfall(folder).args(order));
    succeed(landfall(folder).args(["device", "download", code.trim(), "--sm-dp", &sm_dp_at]));
    succeed(landfall(folder).args(["device", "enable", iccid]));
    // Nothing listens at this address any more.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let run = ["device", "run", "--platform", &free, "--visible", "724-99", "--once", "--network", &free];
    let errors = fail(landfall(folder).args(run).env("LANDFALL_TOKEN", "00"));
    assert!(errors.contains("the device has no service"), "{errors}");
    assert!(errors.contains("refused") && errors.contains("landfall network"), "{errors}");
}

/// The operator of an SGP.02 device checks in on its behalf.
#[tokio::test]
async fn an_operator_is_instructed_to_download_its_own_profile() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    succeed(landfall(folder).args(["certs", "init"]));
    let (eid, bootstrap, local) =
        ("89049032000000000000000000000163", "8944476500001224158", "89724990000000000019");
    let devices = format!(
        "eid,label,profiles,network,home,since\n\
         {eid},meter,{bootstrap} 234-15 bootstrap enabled,724-05,234-15,2026-01-01\n"
    );
    succeed(landfall(folder).args(["fleet", "import", &file("devices.csv", &devices)]));
    let campaign = file("standing.toml", CAMPAIGN);
    succeed(landfall(folder).args(["fleet", "campaign", "create", &campaign, "--start"]));
    let owner = file("owner.toml", "[[offer]]\nnetwork = \"724-02\"\ntype = \"local-br\"\n");
    let serve = ["fleet", "serve", "--listen", "127.0.0.1:0", "--listen-api", "none", "--owner", &owner];
    let platform = Running::start(landfall(folder).args(serve).args(["--supplier", "724-02=operator"]));
    let address = platform.err.word_after("platform at ");
    let pki = cli::pki::load(&folder.join("pki")).unwrap();
    let tls = ClientTls::new(&tls_roots(&pki), None, Arc::new(OsClock)).unwrap();
    let link = Client::default().link(&address, Some(tls)).unwrap();
    let token = succeed(landfall(folder).args(["fleet", "token", eid])).trim().to_owned();

    let mut printed = json!({
        "eid": eid, "at": OsClock.now(), "registered": { "network": "724-05", "iccid": bootstrap },
        "profiles": [{ "iccid": bootstrap, "enabled": true, "home": "234-15" }],
    });
    let (_, result) = post(&link, "/v1/check-in", &token, &printed).await;
    let ordered = &result["what"]["move"];
    let order = json!({ "operator": "724-02", "what": { "profile_type": "local-br" } });
    assert_eq!(ordered["to"], json!({ "order": order }), "{result}");

    printed["ended"] = json!({ "order": ordered["order"], "ending": "moved" });
    printed["registered"] = json!({ "network": "724-02", "iccid": local });
    printed["profiles"] = json!([
        { "iccid": bootstrap, "enabled": false, "home": "234-15" },
        { "iccid": local, "enabled": true, "home": "724-02" },
    ]);
    let (_, result) = post(&link, "/v1/check-in", &token, &printed).await;
    assert_eq!(result["what"], "nothing", "{result}");
}

#[test]
fn errors_of_fleet_commands_contain_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(fail(landfall(folder).args(["fleet", "campaign", "list"])).contains("fleet import"));
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let eid = "89049032000000000000000000000163";
    succeed(landfall(folder).args(["fleet", "import", &file("d.csv", &format!("eid,label\n{eid},meter\n"))]));
    let bad = file("bad.toml", "id = \"a\"\ntarget = \"decided\"\nspeed = 7\n");
    let zero = file("zero.toml", "id = \"a\"\ntarget = \"decided\"\npace = { per_hour = 0 }\n");
    for (arguments, words) in [
        (&["campaign", "create", &bad][..], "line 3"),
        (&["campaign", "create", &zero], "at a pace of 0"),
        (&["campaign", "start", "none"], "there is no campaign none"),
        (&["campaign", "pause", "No"], "not a campaign name"),
        (&["retire", "89049032000000000000000000000260"], "not part of the fleet"),
        (&["edit", "89049032000000000000000000000260", "--label", "x"], "not part of the fleet"),
        (&["serve", "--supplier", "724-02"], "724-02=127.0.0.1:8443"),
    ] {
        let errors = fail(landfall(folder).arg("fleet").args(arguments));
        assert!(errors.contains(words), "{arguments:?}: {errors}");
    }
    let edited =
        succeed(landfall(folder).args(["fleet", "edit", eid, "--label", "kiosk", "--criticality", "high"]));
    assert_eq!(edited, format!("{eid} kiosk: working\n"));
    let shown = result(folder, &["fleet", "show", eid]);
    assert_eq!(shown["device"]["connection"]["needs"]["criticality"], "high");
    let decided = succeed(landfall(folder).args(["fleet", "decide"]));
    assert!(decided.ends_with("1 devices: 0 move, 0 stuck, 1 stay\n"), "{decided}");
    assert_eq!(succeed(landfall(folder).args(["fleet", "retire", eid])), format!("{eid} kiosk: retired\n"));
    assert!(fail(landfall(folder).args(["fleet", "retire", eid])).contains("it is retired"));
}

/// A device abroad, with its bootstrap profile enabled, in a fleet with a standing campaign.
struct Abroad {
    folder: tempfile::TempDir,
    _servers: [Running; 2],
    /// Environment variables with the addresses of the servers.
    addresses: [(&'static str, String); 2],
    owner: String,
    eid: String,
    bootstrap: String,
    local: String,
}

impl Abroad {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let file = |name: &str| path.join(name).to_str().unwrap().to_owned();
        succeed(landfall(path).args(["certs", "init"]));
        let sm_dp = Running::start(landfall(path).args(["sm-dp", "serve", "--listen", "127.0.0.1:0"]));
        let networks = Running::start(landfall(path).args(["network", "--listen", "127.0.0.1:0"]));
        let addresses = [
            ("LANDFALL_SM_DP", sm_dp.err.word_after("SM-DP+ at ")),
            ("LANDFALL_NETWORK", networks.err.word_after("networks at ")),
        ];
        let run = |arguments: &[&str]| {
            succeed(landfall(path).envs(addresses.clone()).args(arguments)).trim().to_owned()
        };
        let (first, second) = (file("bootstrap.der"), file("local.der"));
        run(&["profile", "new", &first, "--home", "234-99", "--number", "7"]);
        run(&["profile", "new", &second, "--home", "724-99", "--number", "1"]);
        run(&["network", "add", &first, &second]);
        let (bootstrap, local) = (run(&["sm-dp", "add", &first]), run(&["sm-dp", "add", &second]));
        let code = run(&["operator", "order", &bootstrap]);
        run(&["device", "--serial", "1", "download", &code]);
        run(&["device", "--serial", "1", "enable", &bootstrap]);
        let eid = result(path, &["device", "--serial", "1", "info"])["eid"].as_str().unwrap().to_owned();

        let owner = file("owner.toml");
        let offer = format!("[[offer]]\nnetwork = \"724-99\"\niccid = \"{local}\"\n");
        std::fs::write(&owner, offer).unwrap();
        let devices = format!(
            "eid,profiles,network,home,since\n\
             {eid},{bootstrap} 234-99 bootstrap enabled,724-99,234-99,2026-01-01\n"
        );
        let (csv, campaign) = (file("devices.csv"), file("standing.toml"));
        std::fs::write(&csv, devices).unwrap();
        std::fs::write(&campaign, CAMPAIGN).unwrap();
        run(&["fleet", "import", &csv]);
        run(&["fleet", "campaign", "create", &campaign, "--start"]);
        Self { _servers: [sm_dp, networks], addresses, owner, eid, bootstrap, local, folder }
    }

    fn platform(&self) -> (Running, String) {
        let serve =
            ["fleet", "serve", "--listen", "127.0.0.1:0", "--listen-api", "none", "--owner", &self.owner];
        let platform = Running::start(landfall(self.folder.path()).envs(self.addresses.clone()).args(serve));
        let address = platform.err.word_after("platform at ");
        (platform, address)
    }

    /// A device that checks in at this address with this token.
    fn device(&self, platform: &str, token: &str) -> std::process::Command {
        let mut command = landfall(self.folder.path());
        command.envs(self.addresses.clone()).args(["device", "--serial", "1", "--visible", "724-99", "run"]);
        command.args(["--platform", platform]).env("LANDFALL_TOKEN", token);
        command
    }

    fn token(&self) -> String {
        succeed(landfall(self.folder.path()).args(["fleet", "token", &self.eid])).trim().to_owned()
    }

    fn enabled(&self) -> Value {
        let profiles = result(self.folder.path(), &["device", "--serial", "1", "list"]);
        let enabled = |profile: &&Value| profile["profile_state"] == "enabled";
        profiles.as_array().unwrap().iter().find(enabled).unwrap()["iccid"].clone()
    }
}

#[test]
fn a_running_device_moves_as_its_platform_instructs_it() {
    let abroad = Abroad::new();
    let (platform, address) = abroad.platform();
    let token = abroad.token();
    assert_eq!(abroad.enabled(), abroad.bootstrap.as_str());
    let printed = succeed(abroad.device(&address, &token).arg("--until-idle"));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 3, "{printed}");
    assert!(lines[0].ends_with(&format!(": download {}", abroad.local)), "{printed}");
    assert!(lines[1].ends_with(": moved") && lines[2].starts_with("check-in: no instruction"), "{printed}");
    assert_eq!(abroad.enabled(), abroad.local.as_str());
    let shown = result(abroad.folder.path(), &["fleet", "campaign", "show", "standing"]);
    assert_eq!((&shown["progress"]["moved"], &shown["progress"]["under_way"]), (&json!(1), &json!(0)));
    let device = result(abroad.folder.path(), &["fleet", "show", &abroad.eid]);
    assert_eq!(device["device"]["connection"]["held"][1]["iccid"], abroad.local.as_str());

    // Without an end, it checks in until it is stopped.
    let mut running =
        Running::start(abroad.device(&address, &token).args(["--json", "--check-in-every", "1"]));
    assert_eq!(running.out.json()["ready"], "device run");
    for _ in 0..2 {
        let exchange = running.out.json();
        assert_eq!(
            (&exchange["check_in"]["eid"], &exchange["instruction"]["what"]),
            (&json!(abroad.eid), &json!("nothing"))
        );
        assert_eq!(exchange["check_in"]["registered"]["network"], "724-99");
    }
    succeed(std::process::Command::new("kill").arg(running.id().to_string()));
    assert_eq!(running.status(), Some(0));
    drop(platform);
}

#[test]
fn an_interrupted_move_is_reported_when_the_platform_is_back() {
    let abroad = Abroad::new();
    let (mut platform, address) = abroad.platform();
    let token = abroad.token();
    // The second write of the device's memory is that the downloaded profile is tried.
    let cut = ["--fault", "power/cut-before-write@device#2"];
    let output = abroad.device(&address, &token).args(cut).output().unwrap();
    assert_eq!(output.status.code(), Some(137), "{output:?}");
    platform.kill();
    let errors = fail(abroad.device(&address, &token).arg("--once"));
    assert!(errors.contains("landfall fleet serve") && errors.contains("--platform"), "{errors}");
    let (_platform, address) = abroad.platform();
    let printed = succeed(abroad.device(&address, &token).args(["--json", "--once"]));
    let first: Value = serde_json::from_str(printed.lines().next().unwrap()).unwrap();
    let ended = &first["check_in"]["ended"];
    assert_eq!(ended["ending"], "came_back", "{printed}");
    assert!(ended["why"].as_str().unwrap().contains("interrupted"), "{printed}");
    assert_eq!(abroad.enabled(), abroad.bootstrap.as_str());
}

#[test]
fn a_check_in_that_is_refused_ends_the_device_with_advice() {
    let abroad = Abroad::new();
    let (_platform, address) = abroad.platform();
    let errors = fail(&mut abroad.device(&address, "5ec2e7"));
    assert!(errors.contains("landfall fleet token EID") && !errors.contains("5ec2e7"), "{errors}");
    let token = abroad.folder.path().join("token");
    std::fs::write(&token, "5ec2e7\n").unwrap();
    let run = ["device", "run", "--platform", &address, "--token-file", token.to_str().unwrap()];
    assert!(fail(landfall(abroad.folder.path()).args(run)).contains("--visible"));
    assert!(
        fail(landfall(abroad.folder.path()).args(["device", "run", "--platform", &address]))
            .contains("--token-file")
    );
}
