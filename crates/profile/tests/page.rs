//! docs/profiles.md compared with the program: each description in it builds a package without
//! findings.
#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy does not recognise this module as test code")]

use profile::Description;
use profile::check::{Severity, check};
use profile::description::{FilesBy, Format};
use profile::personalise::{SecretSource, Series, personalise};

#[test]
fn every_description_in_the_page_builds() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/profiles.md")).unwrap();
    let mut examples = 0;
    for block in page.split("```toml\n").skip(1) {
        let text = block.split("```").next().unwrap_or_default();
        let mut description =
            Description::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
        if description.iccid.is_none() {
            // The description is a template, so one of its profiles is built.
            let (iccid, imsi) = ("8972499000000000100".to_owned(), "724990000000100".to_owned());
            let row = Series { iccid, imsi, msisdn: None }.row(0).unwrap();
            description =
                personalise(&description, &row, &SecretSource::from_text("page")).unwrap().description;
        }
        for format in [Format::V2_3, Format::V3_3] {
            for files in [FilesBy::Templates, FilesBy::Paths] {
                let description = Description { format, files, ..description.clone() };
                let built = description.build();
                let package = built.unwrap_or_else(|mistakes| panic!("{}\n{text}", mistakes.in_text(text)));
                let wrong: Vec<_> =
                    check(&package).into_iter().filter(|found| found.severity > Severity::Note).collect();
                assert!(wrong.is_empty(), "{format} by {files:?}: {wrong:#?}\n{text}");
            }
        }
        examples += 1;
    }
    assert_eq!(examples, 4);
}
