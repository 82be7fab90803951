//! CSV: the device list and the stays of a fleet. The first octet selects the file.

use std::sync::LazyLock;

use fleet::files::{Rows, read_devices, read_stays};
use localize::RuleBook;

static RULES: LazyLock<RuleBook> = LazyLock::new(|| RuleBook::built_in().expect("the built-in rules"));

pub(crate) fn run(octets: &[u8]) -> bool {
    let mut rows = Rows::default();
    let read = match octets {
        [b'd', text @ ..] => read_devices(&mut rows, "devices.csv", text, &RULES),
        [b's', text @ ..] => read_stays(&mut rows, "stays.csv", text, &RULES),
        _ => return false,
    };
    for row in &rows.bad {
        assert!(!row.to_string().is_empty(), "an error has a text");
    }
    read.is_ok() && rows.bad.is_empty()
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    let eid = "89049032000000000000000000000163";
    [
        format!("deid\n{eid}\n"),
        format!(
            "deid,label,group,account,criticality,profiles,network,home,since\n\
             {eid},\"meter, Recife\",meters,acme,low,8944476500001224158 234-15 bootstrap enabled,724-05,234-15,2026-08-30\n"
        ),
        format!("seid,network,home,from,until\n{eid},724-02,234-15,2026-01-01,2026-03-01\n"),
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
