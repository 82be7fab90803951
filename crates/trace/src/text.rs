//! The text format: one line per exchange, with indented details.

use std::fmt::Write;

use rsp::der::Shown;

use super::{Decoded, Event, Exchange, octets};

/// Maximum octets that are shown of one value. The line with the command contains all octets.
const SHOWN_OCTETS: usize = 32;

/// Formats the exchange on one line, followed by its octets and its details.
pub(super) fn lines(exchange: &Exchange, decoded: &Decoded) -> String {
    let mut out = format!("{} {} {}\n", exchange.at, exchange.card, headline(exchange, decoded));
    match &exchange.event {
        Event::Reset { .. } => {}
        Event::Fault { command, .. } => {
            let _ = writeln!(out, "    > {}", octets::format(command, &decoded.secret_in_command));
        }
        Event::Command { command, answer } => {
            let _ = writeln!(out, "    > {}", octets::format(command, &decoded.secret_in_command));
            let _ = writeln!(out, "    < {}", octets::format(answer, &decoded.secret_in_answer));
        }
    }
    out.push_str(&details(&decoded.details));
    out
}

/// Summarises an exchange and its outcome in one line.
pub(super) fn headline(exchange: &Exchange, decoded: &Decoded) -> String {
    let mut line = String::new();
    if let Some(channel) = decoded.channel {
        let _ = write!(line, "[{channel}] ");
    }
    line.push_str(&decoded.name);
    if !decoded.what.is_empty() {
        let _ = write!(line, " {}", decoded.what);
    }
    match &exchange.event {
        Event::Reset { .. } => {}
        Event::Fault { .. } => {
            let _ = write!(line, " -> no answer: {}", decoded.status);
        }
        Event::Command { answer, .. } => {
            let status = answer.last_chunk::<2>().map(hex::encode_upper).unwrap_or_default();
            let _ = write!(line, " -> {status} {}", decoded.status);
        }
    }
    line
}

/// Formats decoded elements, one per line, indented by four blanks.
pub fn details(details: &[(String, Shown)]) -> String {
    let mut out = String::new();
    for (name, value) in details {
        show(name, value, 2, &mut out);
    }
    out
}

fn show(name: &str, value: &Shown, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Shown::Text(text) => {
            let _ = writeln!(out, "{indent}{name}: {}", text.replace(char::is_control, "\u{FFFD}"));
        }
        Shown::Octets(octets) => {
            let _ = writeln!(out, "{indent}{name}: {}", shortened(octets));
        }
        Shown::Fields(fields) if fields.is_empty() => {}
        Shown::Fields(fields) => {
            let _ = writeln!(out, "{indent}{name}");
            for (name, value) in fields {
                show(name, value, depth.saturating_add(1), out);
            }
        }
        Shown::List(elements) => {
            let _ = writeln!(out, "{indent}{name}: {}", elements.len());
            for (number, element) in elements.iter().enumerate() {
                show(&format!("#{}", number.saturating_add(1)), element, depth.saturating_add(1), out);
            }
        }
    }
}

fn shortened(octets: &[u8]) -> String {
    match octets.get(..SHOWN_OCTETS) {
        Some(start) if octets.len() > SHOWN_OCTETS => {
            format!("{}... ({} octets)", hex::encode_upper(start), octets.len())
        }
        _ => hex::encode_upper(octets),
    }
}
