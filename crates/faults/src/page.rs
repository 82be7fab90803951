//! Generates the page `docs/faults.md` from the catalogue.

use std::fmt::Write;

use super::catalogue::{self, Entry, Family, Parameter};

/// Returns the contents of `docs/faults.md`.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for family in Family::ALL {
        let entries: Vec<_> = catalogue::all().filter(|entry| entry.id.family() == family).collect();
        // Writing to a String cannot fail.
        let mut places: Vec<_> = entries.iter().map(|entry| entry.places.forms()).collect();
        places.dedup();
        let (what, count, places) = (family.what(), entries.len(), places.join("; for short messages "));
        if family == Family::Tls {
            certificate_table(&mut page, &entries);
            continue;
        }
        if family == Family::Tamper {
            false_statement_table(&mut page, &entries);
            continue;
        }
        let _ = writeln!(page, "\n## {family}\n\nAffects {what}. {count} faults. Places: {places}.\n");
        page.push_str("| fault | what happens | tested party and requirement | clause | value |\n");
        page.push_str("|---|---|---|---|---|\n");
        for Entry { name, what, peer, requirement, clause, value, .. } in entries {
            let value = value.as_ref().map(in_words).unwrap_or_default();
            let _ = writeln!(page, "| `{name}` | {what} | {peer}: {requirement} | {clause} | {value} |");
        }
    }
    page
}

fn certificate_table(page: &mut String, entries: &[&Entry]) {
    let count = entries.len();
    let _ = writeln!(page, "\n## tls\n\n{TLS_INTRODUCTION} {count} faults.\n");
    page.push_str("| fault | what happens | tested party and requirement | clause | answer |\n");
    page.push_str("|---|---|---|---|---|\n");
    for Entry { name, what, peer, requirement, clause, answer, .. } in entries {
        let _ = writeln!(page, "| `{name}` | {what} | {peer}: {requirement} | {clause} | {answer} |");
    }
}

fn false_statement_table(page: &mut String, entries: &[&Entry]) {
    let count = entries.len();
    let _ = writeln!(page, "\n## tamper\n\n{TAMPER_INTRODUCTION} {count} faults.\n");
    page.push_str(
        "| fault | functions | false statement | tested party and requirement | clause | answer |\n",
    );
    page.push_str("|---|---|---|---|---|---|\n");
    for Entry { name, what, peer, requirement, clause, answer, places, .. } in entries {
        let places = places.forms();
        let _ =
            writeln!(page, "| `{name}` | {places} | {what} | {peer}: {requirement} | {clause} | {answer} |");
    }
}

/// Describes a parameter and its default.
pub fn in_words(parameter: &Parameter) -> String {
    let Parameter { what, default, .. } = parameter;
    default.map_or_else(|| (*what).to_owned(), |default| format!("{what}; {default}"))
}

const INTRODUCTION: &str = "# Fault catalogue

Generated from `crates/faults/catalogue.toml`. `landfall faults` prints the catalogue; add `--json` for scripts. Faults are injected
outside the parties, by wrappers around a link, a store, a radio or a memory. For this reason each fault also works in front of a
real device or server.

## Notation

```text
link/lose-answer@ES9+.GetBoundProfilePackage#2

fault = family \"/\" name [ \"=\" value ] [ \"@\" place ] ( \"#\" when )*
```

- **value**: a duration (`250ms`, `30s`, `5m`, `2h`, `1d`) or a number. The tables give the meaning and the default of each fault.
- **place**: where the fault happens. Without a place, it happens everywhere.
  - `link` and `tamper`: an interface or one function of it (`ES9+`, `ES9+.GetBoundProfilePackage`, `ES3.CreateISDP`). Requests of a card
    over HTTPS are `ES5.OpenSession` and `ES5.Result`.
  - `tls`: a server (`sm-dp`, `sm-ds`).
  - `records`: a party, or one collection of its records (`sm-dp:profiles`).
  - `radio`: a network (`262-42`). For short messages, the direction (`mt`, `mo`).
  - `power`: the owner of the memory, or a prefix of cell names in it (`card:profile/`, `device:intention`).
  - `apdu`: an interface of the card or one function of it (`ES10b`, `ES10b.LoadBoundProfilePackage`). An occasion is a STORE DATA
    command, of which a function can need several.
- **when**: a condition. Occasions at the place are counted from 1. `#2` is the second occasion, `#2-4` and `#2-` are ranges. `#30%` is
  a probability; the random decisions follow from the seed of the run. `#10s..5m` and `#10s..` are time spans since the fault was
  installed. If there are several conditions, all of them must hold. Without a condition, the fault happens at every occasion.

## In front of a real device or server

The option `--fault FAULT` (repeatable) injects a fault into traffic over sockets, for all peers:

| command | faults |
|---|---|
| `landfall sm-dp serve` | `link` of ES9+, ES2+, ES12, ES2 and ES3, in both directions; `tls` of `sm-dp`; `tamper` at ES9+ and ES3; `records` of `sm-dp` |
| `landfall sm-ds serve` | `link` of ES11 and ES12; `tls` of `sm-ds`; `records` of `sm-ds` |
| `landfall sm-sr serve` | `link` of ES1, ES3, ES4, ES7 and ES5 (HTTPS), in both directions; `tamper` at ES3; `records` of `sm-sr` |
| `landfall up` | incoming `link` of ES9+, ES2+, ES11 and ES12; `tls` and `records` of `sm-dp` and `sm-ds`; `tamper`; `radio`; `power` of its `card` |
| `landfall network` | `radio` |
| `landfall device` | `link` of ES9+ and ES11; `tamper`; `power` of its `card` and of the `device`; `apdu`. `landfall device run`: `power` of its `card` only. `landfall device run --iot`: as `landfall device`, `link` and `tamper` of ESipa, and `coap` |
| `landfall eim serve` | `link` and `tamper` of ESipa; `coap` of `--listen-coap` |
| `landfall euicc serve`, `landfall euicc lpac` | `power` of its `card`; a reset switches the power on again |
| `landfall faults serve --listen HERE --before SERVER` | `link` of ES9+; `tls` as place `sm-dp`; `tamper`, if the keys of the server are in the Landfall PKI: a proxy in front of a third-party server |

- Each fault that happens is logged as a line `fault ...` on standard error. Random decisions follow from `--seed`.
- A failing link is a connection that is closed without an answer. Servers and proxies send the octets of a `slow-drip` answer one by
  one. A client delays the whole answer by the time that all octets would take.
- `records/crash-...` and a power cut of `landfall device` end the process with status 137, as kill -9 does. With a value
  (`records/crash-after-commit=30s`) the process restarts after that time, with the same records and ports.
- A proxy presents a certificate of the Landfall PKI for the name of the server, so devices must resolve that name to the proxy. `--connect`
  gives the address of the server, and `--trust` gives the root of its own certificate.
";

const TLS_INTRODUCTION: &str = "Affects the TLS certificate that a server presents. An occasion is a handshake, so `tls/expired@sm-dp#1-3` affects the first
three connections to the SM-DP+, of any client. Apart from the fault, the certificate equals the one that the server normally presents.
The CI of the PKI signs it, so its key must be in the PKI. The in-process testbed and scenarios use no TLS and refuse these faults.
Place: sm-dp, sm-ds. *Answer* is a part of the message of this implementation.

`tls/revoked` writes a revocation list into the folder of the PKI (`CertificateIssuer/`). SGP.22 4.6 makes the CI publish such lists. The
clients of this program (LPA, operator, SM-DP+) refuse a TLS server whose certificate is on a list in this folder; they download no list.
They read the folder when they start.";

const TAMPER_INTRODUCTION: &str = "False statements that a party makes under its own valid keys. A wrapper around the link reads a message, changes one
thing, and signs the message again. It needs the PKI of the parties with their keys. It works in the JSON binding of ES9+, on ES3, and in
the ASN.1 binding of ESipa, over HTTPS and CoAP. The place is a function whose message can be changed, or the interface, which stands for
all these functions. A package or a result of ESep is signed again after its association token was seen in a response to a request for
data. *Answer* is how the tested party refuses: a status code where the standard defines one, otherwise the message of this
implementation. It is empty if nobody can detect the false statement or if it changes nothing.";

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_page_matches_the_catalogue() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults.md");
        let fresh = super::page();
        if std::env::var_os("LANDFALL_REGENERATE").is_some() {
            std::fs::write(&path, &fresh).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == fresh,
            "docs/faults.md is stale; LANDFALL_REGENERATE=1 cargo test -p faults --lib page"
        );
    }
}
