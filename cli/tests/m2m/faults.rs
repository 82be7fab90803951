//! `--fault` of the SM-SR, as its clients see the faults.

use crate::{
    common::{fail, succeed},
    testbed::Testbed,
};

#[test]
fn faults_occur_in_requests_and_records_of_the_sm_sr() {
    let testbed = Testbed::new();
    let faults = ["link/http-503@ES1.RegisterEIS#1", "records/crash-before-commit@sm-sr:cards#1"];
    let mut given = vec!["--listen-cards", "none"];
    given.extend(faults.iter().flat_map(|fault| ["--fault", fault]));
    let mut sm_sr = testbed.sm_sr(0, &given);
    let errors = fail(&mut testbed.register(&testbed.eid));
    assert!(errors.contains("503"), "{errors}");
    assert_eq!(sm_sr.err.after("fault "), faults[0]);
    fail(&mut testbed.register(&testbed.eid));
    let printed = sm_sr.err.lines().collect::<Vec<_>>().join("\n");
    assert!(printed.contains(&format!("the fault {} occurred", faults[1])), "{printed}");
    assert_eq!(sm_sr.status(), Some(137));
    let _sm_sr = testbed.sm_sr(0, &["--listen-cards", "none"]);
    succeed(&mut testbed.register(&testbed.eid));
}
