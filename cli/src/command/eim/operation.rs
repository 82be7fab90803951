//! The operations of `landfall eim order`.

use std::{path::Path, str::FromStr};

use eim::records::{
    DataRequest, Download, DownloadSource, EimConfiguration, EimOperation, Package, ProfileOperation,
};
use rsp::ids::Iccid;
use serde::Deserialize;
use world::Fault;

use crate::files;

/// An operation as the user writes it: `NAME` or `NAME:VALUE`.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Profile(ProfileOperation),
    Eim(EimOperation),
    AddEim(String),
    UpdateEim(String),
    Data,
    Download(DownloadSource),
}

/// The operations in the help.
pub(super) const HELP: &str = "Operation (repeatable), on profiles: \
list, enable:ICCID, enable-with-rollback:ICCID, disable:ICCID, delete:ICCID, rat, set-fallback:ICCID, \
unset-fallback, immediate-enable, no-immediate-enable, default-sm-dp:ADDRESS; on eIMs: \
list-eims, add-eim:FILE, update-eim:FILE (a file or JSON), delete-eim:ID, replace-key; alone: \
data, download:ACTIVATION-CODE, download-default, download-event[:SM-DS]";

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use ProfileOperation as Op;
        let (name, value) = match text.split_once(':') {
            Some((_, "")) => return Err(format!("{text:?} has no value after the colon")),
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let needed = |what: &str| value.ok_or_else(|| format!("{name} needs {what}: write {name}:VALUE"));
        let iccid = || -> Result<Iccid, String> {
            needed("an ICCID")?.parse().map_err(|e: rsp::ids::InvalidId| e.to_string())
        };
        let with_value = match name {
            "enable" => Self::Profile(Op::Enable { iccid: iccid()?, rollback: false }),
            "enable-with-rollback" => Self::Profile(Op::Enable { iccid: iccid()?, rollback: true }),
            "disable" => Self::Profile(Op::Disable { iccid: iccid()? }),
            "delete" => Self::Profile(Op::Delete { iccid: iccid()? }),
            "set-fallback" => Self::Profile(Op::SetFallbackAttribute { iccid: iccid()? }),
            "default-sm-dp" => {
                Self::Profile(Op::SetDefaultDpAddress { address: needed("an address")?.to_owned() })
            }
            "delete-eim" => Self::Eim(EimOperation::DeleteEim { eim_id: needed("an eimId")?.to_owned() }),
            "add-eim" => Self::AddEim(needed("a file")?.to_owned()),
            "update-eim" => Self::UpdateEim(needed("a file")?.to_owned()),
            "download" => {
                Self::Download(DownloadSource::ActivationCode(needed("an activation code")?.to_owned()))
            }
            "download-event" => Self::Download(DownloadSource::Smds { address: value.map(str::to_owned) }),
            _ => return Self::without_value(name, value),
        };
        Ok(with_value)
    }
}

impl Operation {
    fn without_value(name: &str, value: Option<&str>) -> Result<Self, String> {
        use ProfileOperation as Op;
        let immediate =
            |allowed| Op::ConfigureImmediateEnable { allowed, smdp_oid: None, smdp_address: None };
        let operation = match name {
            "list" => Self::Profile(Op::ListProfileInfo {}),
            "rat" => Self::Profile(Op::GetRat {}),
            "unset-fallback" => Self::Profile(Op::UnsetFallbackAttribute {}),
            "immediate-enable" => Self::Profile(immediate(true)),
            "no-immediate-enable" => Self::Profile(immediate(false)),
            "list-eims" => Self::Eim(EimOperation::ListEim {}),
            "replace-key" => Self::Eim(EimOperation::ReplaceOwnKey {}),
            "data" => Self::Data,
            "download-default" => Self::Download(DownloadSource::DefaultSmdp {}),
            _ => {
                return Err(format!(
                    "there is no operation {name:?}; `landfall eim order --help` lists them"
                ));
            }
        };
        match value {
            None => Ok(operation),
            Some(_) => Err(format!("{name} has no value")),
        }
    }
}

/// Combines operations into the content of an order. `kept_by_eim` is that of a download.
///
/// # Errors
/// The operations cannot be in one package, or a file is not a configuration.
pub(super) fn package(operations: &[Operation], kept_by_eim: bool) -> Result<Package, Fault> {
    match operations {
        [Operation::Data] => return Ok(Package::Data(DataRequest::default())),
        [Operation::Download(source)] => {
            return Ok(Package::Download(Download {
                source: source.clone(),
                kept_by_eim,
                iccid: None,
                policy_rules_allowed: false,
            }));
        }
        _ => {}
    }
    let mixed = || {
        Fault::usage(
            "cannot combine these operations",
            "a package has operations on profiles, or operations on eIMs, or one request for data or one download",
            "place an order for each kind",
        )
    };
    let (mut profiles, mut eims) = (Vec::new(), Vec::new());
    for operation in operations {
        match operation {
            Operation::Profile(operation) => profiles.push(operation.clone()),
            Operation::Eim(operation) => eims.push(operation.clone()),
            Operation::AddEim(file) => eims.push(EimOperation::AddEim(Box::new(configuration(file)?))),
            Operation::UpdateEim(file) => eims.push(EimOperation::UpdateEim(Box::new(configuration(file)?))),
            Operation::Data | Operation::Download(_) => return Err(mixed()),
        }
    }
    match (profiles.is_empty(), eims.is_empty()) {
        (_, true) => Ok(Package::ProfileOperations(profiles)),
        (true, false) => Ok(Package::EimOperations(eims)),
        (false, false) => Err(mixed()),
    }
}

/// Reads a configuration, alone or as `landfall eim configuration` prints it. `text` is the name of
/// the file, or the configuration itself.
fn configuration(text: &str) -> Result<EimConfiguration, Fault> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Contents {
        Printed { configuration: EimConfiguration },
        Alone(EimConfiguration),
    }
    let contents = match text.starts_with('{') {
        true => serde_json::from_str(text),
        false => serde_json::from_slice(&files::read(Path::new(text))?),
    };
    let contents = contents.map_err(|e| {
        let next = "write it with `landfall eim configuration`";
        Fault::usage_caused_by(e, format!("{text} is not the configuration of an eIM"), next)
    })?;
    Ok(match contents {
        Contents::Printed { configuration } | Contents::Alone(configuration) => configuration,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Result<Package, Fault> {
        let operations: Vec<Operation> = texts.iter().map(|text| text.parse().unwrap()).collect();
        package(&operations, true)
    }

    #[test]
    fn operations_of_one_kind_are_one_package() {
        let Package::ProfileOperations(both) = of(&["list", "enable:8949000000000000001"]).unwrap() else {
            panic!("no operations on profiles")
        };
        assert_eq!(both.len(), 2);
        assert!(matches!(of(&["list-eims", "delete-eim:other"]), Ok(Package::EimOperations(_))));
        assert!(matches!(of(&["data"]), Ok(Package::Data(_))));
        assert!(matches!(
            of(&["download:1$a.b$C"]),
            Ok(Package::Download(Download { kept_by_eim: true, .. }))
        ));
        for mixed in [&["list", "list-eims"][..], &["data", "list"], &["download-default", "data"]] {
            assert!(of(mixed).is_err(), "{mixed:?}");
        }
    }

    #[test]
    fn the_configuration_of_an_eim_can_be_json() {
        let package = of(&[r#"add-eim:{"eimId":"other","counter":0}"#]).unwrap();
        let Package::EimOperations(operations) = package else { panic!("no operation on eIMs") };
        let expected =
            EimConfiguration { eim_id: "other".to_owned(), counter: Some(0), ..EimConfiguration::default() };
        assert_eq!(operations, [EimOperation::AddEim(Box::new(expected))]);
        assert!(of(&[r#"update-eim:{"eimId":"other","x":1}"#]).is_err());
    }

    #[test]
    fn an_operation_without_its_value_is_refused() {
        for wrong in ["enable", "enable:", "enable:x", "list:1", "deleteall", "add-eim", ""] {
            assert!(wrong.parse::<Operation>().is_err(), "{wrong}");
        }
        assert!("download-event".parse::<Operation>().is_ok());
        assert!("download-event:smds.example".parse::<Operation>().is_ok());
    }
}
