//! docs/profiles.md against the program: each description in it builds a package.
#![allow(clippy::unwrap_used, clippy::panic, reason = "this is test code, though clippy sees no test here")]

use profile::Description;

#[test]
fn every_description_in_the_page_builds() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/profiles.md")).unwrap();
    let mut examples = 0;
    for block in page.split("```toml\n").skip(1) {
        let text = block.split("```").next().unwrap_or_default();
        let description = Description::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
        description.build().unwrap_or_else(|mistakes| panic!("{}\n{text}", mistakes.in_text(text)));
        examples += 1;
    }
    assert_eq!(examples, 3);
}
