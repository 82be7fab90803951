//! The positions of a description's terms in a package.

use serde_json::Value;

use super::terms;
use crate::element::FileSystemKind;
use crate::{Fid, FileIndex, ProfileFiles};

/// A directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum In {
    Mf,
    Usim,
    Isim,
    Df5gs,
    DfSaip,
}

impl In {
    /// The types of PE that have files in this directory.
    fn kinds(self) -> &'static [FileSystemKind] {
        use FileSystemKind as K;
        match self {
            Self::Mf => &[K::Mf, K::Iot],
            Self::Usim => &[K::Usim, K::OptUsim, K::Iot, K::OptIot],
            Self::Isim => &[K::Isim, K::OptIsim],
            Self::Df5gs => &[K::Df5gs, K::OptIot],
            Self::DfSaip => &[K::DfSaip, K::OptIot],
        }
    }
}

/// The position of a term in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Octet(usize),
    Anywhere,
}

const START: At = At::Octet(0);

/// The files whose contents are terms: directory, identifier, the name in the template, the term,
/// its position.
pub(super) const PLACES: [(In, u16, &str, &str, At); 23] = [
    (In::Mf, 0x2FE2, "ef-iccid", "ef-iccid", START),
    (In::Usim, 0x6F07, "ef-imsi", "ef-imsi", START),
    (In::Usim, 0x6FAD, "ef-ad", "mnc-digits", At::Octet(3)),
    (In::Usim, 0x6F78, "ef-acc", "ef-acc", START),
    (In::Usim, 0x6F46, "ef-spn", "ef-spn", START),
    (In::Usim, 0x6F38, "ef-ust", "ef-ust", START),
    (In::Usim, 0x6F56, "ef-est", "ef-est", START),
    (In::Usim, 0x6F42, "ef-smsp", "smsc", At::Anywhere),
    (In::Usim, 0x6F40, "ef-msisdn", "msisdn", At::Anywhere),
    (In::Usim, 0x6F62, "ef-hplmnwact", "ef-hplmnwact", START),
    (In::Usim, 0x6F61, "ef-oplmnwact", "ef-oplmnwact", START),
    (In::Usim, 0x6F60, "ef-plmnwact", "ef-plmnwact", START),
    (In::Usim, 0x6FD9, "ef-ehplmn", "ef-ehplmn", START),
    (In::Usim, 0x6F7B, "ef-fplmn", "ef-fplmn", START),
    (In::Usim, 0x6F3E, "ef-gid1", "ef-gid1", START),
    (In::Usim, 0x6F3F, "ef-gid2", "ef-gid2", START),
    (In::Df5gs, 0x4F0A, "ef-routing-indicator", "ef-routing-indicator", START),
    (In::Df5gs, 0x4F07, "ef-suci-calc-info", "ef-suci-calc-info", START),
    (In::DfSaip, 0x4F01, "ef-suci-calc-info-usim", "ef-suci-calc-info-usim", START),
    (In::Df5gs, 0x4F0B, "ef-ursp", "ef-ursp", START),
    (In::Isim, 0x6F02, "ef-impi", "ef-impi", START),
    (In::Isim, 0x6F04, "ef-impu", "ef-impu", START),
    (In::Isim, 0x6F03, "ef-domain", "ef-domain", START),
];

/// The directories of a profile with their paths in hexadecimal digits.
#[derive(Default)]
pub(super) struct Directories(pub(super) Vec<(In, FileIndex, String)>);

impl Directories {
    pub(super) fn of(files: &ProfileFiles) -> Self {
        let application = |code: u8| {
            files.adfs(&[0xA0, 0x00, 0x00, 0x00, 0x87, 0x10]).find(
                |(_, file)| matches!(&file.kind, crate::FileKind::Adf { aid } if aid.get(6) == Some(&code)),
            )
        };
        let usim = application(0x02).map(|(index, _)| index);
        let below = |fid| usim.and_then(|usim| files.child(usim, Fid(fid)));
        let known = [
            (In::Mf, files.file(FileIndex::MF).map(|_| FileIndex::MF)),
            (In::Usim, usim),
            (In::Isim, application(0x04).map(|(index, _)| index)),
            (In::Df5gs, below(0x5FC0)),
            (In::DfSaip, below(0x5FD0)),
        ];
        let path = |index| files.path_of(index).iter().skip(1).map(ToString::to_string).collect::<String>();
        Self(
            known
                .into_iter()
                .filter_map(|(directory, index)| Some((directory, index?, path(index?))))
                .collect(),
        )
    }
}

/// Replaces bytes of an element that are the value of a term by the name of the term.
pub(super) fn place(element: &mut Value, values: &[terms::Term], directories: &Directories) {
    let Some((name, body)) = element.as_object_mut().and_then(|element| element.iter_mut().next()) else {
        return;
    };
    let named = |value: &mut Value, term: &str| {
        if let (Value::String(text), Some(found)) = (value, values.iter().find(|known| known.name == term))
            && *text == found.value
        {
            *text = format!("{{{term}}}");
        }
    };
    let mut at = |path: &[&str], term: &str| {
        if let Some(value) = path.iter().try_fold(&mut *body, |value, step| value.get_mut(step)) {
            named(value, term);
        }
    };
    match name.as_str() {
        "header" => {
            at(&["profileType"], "profile-type");
            at(&["iccid"], "iccid");
            at(&["pol"], "pol1");
            at(&["connectivityParameters"], "connectivity-parameters");
        }
        "akaParameter" => {
            let own = |last: &'static str| ["algoConfiguration", "algoParameter", last];
            at(&own("algorithmID"), "algorithm");
            at(&own("algorithmOptions"), "algorithm-options");
            at(&own("key"), "ki");
            at(&own("opc"), "opc");
        }
        "pinCodes" => codes(body.pointer_mut("/pinCodes/pinconfig"), "pinValue", &named),
        "pukCodes" => codes(body.pointer_mut("/pukCodes"), "pukValue", &named),
        "securityDomain" => {
            for key in list(body.get_mut("keyList")) {
                let octet = |name: &str| {
                    key.get(name).and_then(Value::as_str).and_then(|hex| u8::from_str_radix(hex, 16).ok())
                };
                let which = match octet("keyIdentifier") {
                    Some(1) => "enc",
                    Some(2) => "mac",
                    Some(3) => "dek",
                    _ => continue,
                };
                let Some(version) = octet("keyVersionNumber") else { continue };
                for component in list(key.get_mut("keyComponents")).iter_mut() {
                    if let Some(value) = component.get_mut("keyData") {
                        named(value, &format!("sd-{version}-{which}"));
                    }
                }
            }
        }
        "genericFileManagement" => by_path(body, values, directories),
        _ => {
            let kind = FileSystemKind::ALL.into_iter().find(|kind| kind.name() == name.as_str());
            for (directory, _, file, term, at) in PLACES {
                if kind.is_some_and(|kind| directory.kinds().contains(&kind)) {
                    for item in list(body.get_mut(file)) {
                        in_item(item, term, at, values);
                    }
                }
            }
        }
    }
}

fn list(value: Option<&mut Value>) -> &mut [Value] {
    value.and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default()
}

fn codes(codes: Option<&mut Value>, field: &str, named: &impl Fn(&mut Value, &str)) {
    for code in list(codes) {
        let term = match code.get("keyReference").and_then(Value::as_str) {
            Some("pinAppl1") => "pin1",
            Some("secondPINAppl1") => "pin2",
            Some("adm1") => "adm1",
            Some("pukAppl1") => "puk1",
            Some("secondPUKAppl1") => "puk2",
            _ => continue,
        };
        if let Some(value) = code.get_mut(field) {
            named(value, term);
        }
    }
}

/// Replaces the values of terms in the contents of files that are created by path.
fn by_path(body: &mut Value, values: &[terms::Term], directories: &Directories) {
    let mut path = String::new();
    let mut fid = 0;
    let commands = list(body.get_mut("fileManagementCMD")).iter_mut().flat_map(|group| list(Some(group)));
    for command in commands {
        if let Some(to) = command.get("filePath").and_then(Value::as_str) {
            path = to.to_owned();
        }
        if let Some(id) = command.pointer("/createFCP/fileID").and_then(Value::as_str) {
            fid = u16::from_str_radix(id, 16).unwrap_or_default();
        }
        for (directory, id, _, term, at) in PLACES {
            if id == fid
                && directories.0.iter().any(|(known, _, place)| *known == directory && *place == path)
            {
                in_item(command, term, at, values);
            }
        }
    }
}

/// Replaces the value of a term in one step of a file: in the contents, or in the fill pattern.
fn in_item(item: &mut Value, term: &str, at: At, values: &[terms::Term]) {
    let Some(term) = values.iter().find(|known| known.name == term) else { return };
    if let Some(Value::String(text)) = item.get_mut("fillFileContent") {
        in_text(text, term, at, true);
    }
    for descriptor in ["fileDescriptor", "createFCP"] {
        let pattern = format!("/{descriptor}/proprietaryEFInfo/fillPattern");
        if let Some(Value::String(text)) = item.pointer_mut(&pattern) {
            in_text(text, term, at, false);
        }
    }
}

fn in_text(text: &mut String, term: &terms::Term, at: At, may_fill: bool) {
    if term.value.is_empty() || text.contains('{') {
        return;
    }
    let found = match at {
        At::Octet(octet) => {
            text.get(octet * 2..).is_some_and(|rest| rest.starts_with(&term.value)).then_some(octet * 2)
        }
        At::Anywhere => text.find(&term.value).filter(|start| start % 2 == 0),
    };
    let Some(start) = found else { return };
    let (before, rest) = text.split_at(start);
    let after = rest.get(term.value.len()..).unwrap_or_default();
    let filling = format!("{:02X}", term.filling);
    let filled =
        may_fill && !after.is_empty() && after.replace(&filling, "").is_empty() && after.len() % 2 == 0;
    let name = &term.name;
    *text = match filled {
        true => format!("{before}{{{name}:{}}}", rest.len() / 2),
        false => format!("{before}{{{name}}}{after}"),
    };
}
