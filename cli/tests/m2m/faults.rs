//! `--fault` of the SM-SR, as its clients see the faults.

use crate::{
    common::{fail, succeed},
    testbed::Stage,
};

#[test]
fn faults_occur_in_requests_and_records_of_the_sm_sr() {
    let stage = Stage::new();
    let faults = ["link/http-503@ES1.RegisterEIS#1", "records/crash-before-commit@sm-sr:cards#1"];
    let mut given = vec!["--cards", "none"];
    given.extend(faults.iter().flat_map(|fault| ["--fault", fault]));
    let mut sm_sr = stage.sm_sr(0, &given);
    let errors = fail(&mut stage.register(&stage.eid));
    assert!(errors.contains("503"), "{errors}");
    assert_eq!(sm_sr.err.after("fault "), faults[0]);
    fail(&mut stage.register(&stage.eid));
    let said = sm_sr.err.lines().collect::<Vec<_>>().join("\n");
    assert!(said.contains(&format!("the fault {} occurred", faults[1])), "{said}");
    assert_eq!(sm_sr.status(), Some(137));
    let _sm_sr = stage.sm_sr(0, &["--cards", "none"]);
    succeed(&mut stage.register(&stage.eid));
}
