//! The catalogue as a page for people.

use std::fmt::Write;

use super::catalogue::{self, Entry, Family, Parameter};

/// `docs/faults.md`.
pub fn page() -> String {
    let mut page = String::from(HEAD);
    for family in Family::ALL {
        let entries: Vec<_> = catalogue::all().filter(|entry| entry.id.family() == family).collect();
        // Writing to a String cannot fail.
        let mut places: Vec<_> = entries.iter().map(|entry| entry.places.forms()).collect();
        places.dedup();
        let (what, count, places) = (family.what(), entries.len(), places.join("; of short messages "));
        if family == Family::Lie {
            lies(&mut page, &entries);
            continue;
        }
        let _ = writeln!(page, "\n## {family}\n\nHappens to {what}. {count} faults. Places: {places}.\n");
        page.push_str("| fault | what happens | who is tested, and for what | clause | value |\n");
        page.push_str("|---|---|---|---|---|\n");
        for Entry { name, what, peer, requirement, clause, value, .. } in entries {
            let value = value.as_ref().map(in_words).unwrap_or_default();
            let _ = writeln!(page, "| `{name}` | {what} | {peer}: {requirement} | {clause} | {value} |");
        }
    }
    page
}

fn lies(page: &mut String, entries: &[&Entry]) {
    let count = entries.len();
    let _ = writeln!(page, "\n## lie\n\n{LIES} {count} lies.\n");
    page.push_str("| lie | told in | what is said | who is tested, and for what | clause | answer |\n");
    page.push_str("|---|---|---|---|---|---|\n");
    for Entry { name, what, peer, requirement, clause, answer, places, .. } in entries {
        let places = places.forms();
        let _ =
            writeln!(page, "| `{name}` | {places} | {what} | {peer}: {requirement} | {clause} | {answer} |");
    }
}

/// What can be said about how a fault happens, and what holds otherwise.
pub fn in_words(parameter: &Parameter) -> String {
    let Parameter { what, default, .. } = parameter;
    default.map_or_else(|| (*what).to_owned(), |default| format!("{what}; {default}"))
}

const HEAD: &str = "# Faults by name

Made from the catalogue in `crates/faults/src/catalogue`; `landfall faults` prints it, `--json` for scripts. A fault lies outside
the parties, round a link, a store, a radio or a memory, so that each can be put in front of a real device or server as well.

## How one is written

```text
link/lose-answer@ES9+.GetBoundProfilePackage#2

mishap = family \"/\" name [ \"=\" value ] [ \"@\" place ] ( \"#\" when )*
```

- **value**: how it happens, a duration (`250ms`, `30s`, `5m`, `2h`, `1d`) or a number; what holds without one stands in the table.
- **place**: where of all the places that it is put. A link, a lie: an interface or one function of it (`ES9+`, `ES9+.GetBoundProfilePackage`,
  `ES3.CreateISDP`; of a card over HTTPS `ES5.OpenSession` and `ES5.Result`). Records: a party, or a collection of its records
  (`sm-dp:profiles`). Radio: a network (`262-42`), of short messages the direction (`mt`, `mo`). Power: whose memory, or the beginning
  of a cell's name in it (`card:profile/`, `device:intention`). Without a place: everywhere.
- **when**: occasions at that place are counted from 1. `#2` the second, `#2-4`, `#2-`; `#30%` as the dice say, which follow from the run's
  seed; `#10s..5m`, `#10s..` in that time since the fault was put. Several must all be so. Without one: each time.

## In front of a real device or server

`--fault FAULT`, as often as wanted, has it happen over sockets, to whoever comes:

| command | faults |
|---|---|
| `landfall sm-dp serve` | `link` of ES9+, ES2+, ES12, ES2 and ES3, in and out; `lie` at ES9+ and ES3; `records` of `sm-dp` |
| `landfall sm-ds serve` | `link` of ES11 and ES12; `records` of `sm-ds` |
| `landfall sm-sr serve` | `link` of ES1, ES3, ES4, ES7 and ES5 (HTTPS), in and out; `lie` at ES3; `records` of `sm-sr` |
| `landfall up` | `link` of ES9+, ES2+, ES11 and ES12, coming in; `lie`; `records` of `sm-dp` and `sm-ds`; `radio`; `power` of its `card` |
| `landfall network` | `radio` |
| `landfall device` | `link` of ES9+ and ES11; `lie`; `power` of its `card` and of the `device`. `landfall device run`: of its `card` alone |
| `landfall euicc serve`, `landfall euicc lpac` | `power` of its `card`, which has power again when it is reset |
| `landfall faults serve --listen HERE --before SERVER` | `link` of ES9+; `lie`, if the server's keys are in our PKI: a proxy before somebody else's server |

- Each time that one happens a line `fault ...` says so on standard error. What is left to chance follows from `--seed`.
- A link that fails is a connection that is closed without an answer. `slow-drip` really drips at a server or a proxy; a party that asks holds the answer
  back for as long as its octets would take.
- `records/crash-...`, and a cut of the power of `landfall device`, end the process as kill -9 would, with status 137. With a value
  (`records/crash-after-commit=30s`) the process lives again by itself after that time, on its records and at its ports.
- A proxy shows a certificate of our PKI with the server's name, by which devices must find it; `--at` says where the server is, and
  `--trust` whose root its own certificate has.
";

const LIES: &str = "What a party says under its own valid keys, and is not so: a layer round the link reads what is said, changes
one thing, and signs again. It needs the PKI of the parties with their keys, and tells lies in the JSON binding of ES9+ and on ES3. The
place of a lie is a function in which it is told, or the interface: then it is told wherever it can be. *Answer* is the word by which the
tested peer refuses, a code where the standard has one, otherwise what ours says; where it is empty, nobody can find out, or it changes
nothing.";

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_page_is_what_the_catalogue_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults.md");
        let fresh = super::page();
        if std::env::var_os("LANDFALL_REGENERATE").is_some() {
            std::fs::write(&path, &fresh).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == fresh,
            "docs/faults.md is stale; LANDFALL_REGENERATE=1 cargo test -p scenario --lib page"
        );
    }
}
