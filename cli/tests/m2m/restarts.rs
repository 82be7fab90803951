//! kill -9 at each step: whoever it is, a profile that was ordered is enabled in the end, once, and everybody says the same.

use std::{collections::BTreeSet, process::Output, thread, time::Duration};

use serde_json::Value;

use crate::{
    common::{Running, succeed},
    stage::{Stage, states},
};

/// How long a line is waited for before it is looked whether all is over.
const LOOK: Duration = Duration::from_millis(50);

#[test]
fn the_sm_sr_may_be_killed_at_each_step() {
    let stage = Stage::new();
    let _networks = stage.networks(&[]);
    let _sm_dp = stage.sm_dp(&[]);
    let sm_sr = || stage.sm_sr(0, &["--json"]);
    let running = sm_sr();
    succeed(&mut stage.register(&stage.eid));
    let _device = stage.device(&[]);
    let killed = until_enabled(&stage, running, sm_sr);
    assert!(killed >= 6, "{killed} times");
}

#[test]
fn the_sm_dp_may_be_killed_at_each_step() {
    let stage = Stage::new();
    let _networks = stage.networks(&[]);
    let _sm_sr = stage.sm_sr(0, &[]);
    succeed(&mut stage.register(&stage.eid));
    let _device = stage.device(&[]);
    let sm_dp = || stage.sm_dp(&["--json"]);
    let killed = until_enabled(&stage, sm_dp(), sm_dp);
    assert!(killed >= 5, "{killed} times");
}

#[test]
fn the_device_may_be_killed_at_each_step() {
    let stage = Stage::new();
    let _networks = stage.networks(&[]);
    let _sm_sr = stage.sm_sr(0, &[]);
    let _sm_dp = stage.sm_dp(&[]);
    succeed(&mut stage.register(&stage.eid));
    let device = || stage.device(&["--json"]);
    let killed = until_enabled(&stage, device(), device);
    assert!(killed >= 6, "{killed} times");
}

/// The operator orders a profile and its enabling; whenever the party says something that it has not said before, it is
/// killed and started again. How often that was.
fn until_enabled(stage: &Stage, mut party: Running, start: impl Fn() -> Running) -> usize {
    let (first, local) = (stage.first.iccid.as_str(), stage.stock[0].iccid.as_str());
    let mut order = stage.operator(&["--validity", "90", "download", "--iccid", local, "--enable"]);
    let mut known = BTreeSet::new();
    let ordered: Output = thread::scope(|scope| {
        let ordered = scope.spawn(|| order.output().unwrap());
        while !ordered.is_finished() {
            if let Some(step) = party.err.next(LOOK).as_deref().and_then(step)
                && known.insert(step)
            {
                party.kill();
                party = start();
            }
        }
        ordered.join().unwrap()
    });
    let said = String::from_utf8_lossy(&ordered.stdout).into_owned();
    let errors = String::from_utf8_lossy(&ordered.stderr);
    assert!(ordered.status.success(), "{said}{errors}\nkilled after {known:#?}");
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(answer["status"], "EXECUTED_SUCCESS", "killed after {known:#?}");
    let state = |iccid: &str, state: &str| (iccid.to_owned(), state.to_owned());
    let expected = [state(first, "Disabled"), state(local, "Enabled")];
    // The card says so too, and the SM-DP.
    assert_eq!(states(&stage.ask(&["audit", "--es4"])), expected, "killed after {known:#?}");
    let stock: Value = serde_json::from_str(&succeed(&mut stage.run(&["--json", "sm-dp", "list"]))).unwrap();
    let stock = stock.as_array().unwrap();
    let ours = stock.iter().find(|profile| profile["iccid"] == local).unwrap();
    assert_eq!(ours["state"], "Installed", "{ours}");
    known.len()
}

/// What a line of the timeline tells of: interface and function.
fn step(line: &str) -> Option<(String, String)> {
    let event: Value = serde_json::from_str(line).ok()?;
    Some((event["interface"].as_str()?.to_owned(), event["function"].as_str()?.to_owned()))
}
