//! Validation of encoded messages against the published schemas. The schemas are available but must
//! not be redistributed, so the person who runs the test supplies the folder.

use std::{
    collections::BTreeSet,
    fmt::{Debug, Write},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rsp::sgp02::{Function, Message, Namespace, Notification, es1, es2, es3, es4, es7};
use serde::{Serialize, de::DeserializeOwned};

use crate::samples::{self, Schema, Visitor};

/// The environment variable with a folder that contains the folders `1` and `3`, each with the
/// GSMA's `*.wsdl` and `xsd/euicc.*.xsd` of that namespace.
const FOLDER: &str = "LANDFALL_ESIM_XSD";

/// Returns the folder.
fn schemas() -> PathBuf {
    std::env::var_os(FOLDER).unwrap().into()
}

struct Validator {
    namespace: Namespace,
    folder: PathBuf,
    files: Vec<(PathBuf, String)>,
}

impl Visitor for Validator {
    fn visit_message<M>(&mut self, schema: Schema, message: M)
    where
        M: Message + Clone + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        let is_in = match self.namespace {
            Namespace::V1 => schema == Schema::Both,
            Namespace::V3 => schema != Schema::None,
        };
        if is_in {
            let file = self.folder.join(format!("{}-{}.xml", self.files.len(), M::ELEMENT));
            let text = message.to_xml(self.namespace);
            fs::write(&file, &text).unwrap();
            self.files.push((file, text));
        }
    }
}

/// Returns a schema of the namespace that includes those of the interfaces, as the WSDLs do.
fn wrapper(folder: &Path, namespace: Namespace) -> String {
    let mut text = format!(
        "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" targetNamespace=\"{}\" \
         elementFormDefault=\"qualified\">",
        namespace.uri()
    );
    for interface in ["ES1", "ES2", "ES3", "ES4", "ES7"] {
        let file = folder.join(format!("xsd/euicc.request.{interface}.xsd"));
        if file.exists() {
            write!(text, "<xs:include schemaLocation=\"{}\"/>", file.display()).unwrap();
        }
    }
    text + "</xs:schema>"
}

#[test]
#[cfg_attr(not(has_esim_xsd), ignore = "needs LANDFALL_ESIM_XSD, a folder with the schemas of SGP.02")]
fn encoded_messages_are_valid_according_to_the_published_schemas() {
    let schemas = schemas();
    for (namespace, name, expected) in [(Namespace::V1, "1", 89), (Namespace::V3, "3", 102)] {
        let folder = tempfile::tempdir().unwrap();
        let wrapper_file = folder.path().join("wrapper.xsd");
        fs::write(&wrapper_file, wrapper(&schemas.join(name), namespace)).unwrap();
        let mut validator = Validator { namespace, folder: folder.path().to_owned(), files: Vec::new() };
        samples::visit(&mut validator, namespace);
        let output = Command::new("xmllint")
            .args(["--nonet", "--noout", "--schema"])
            .arg(&wrapper_file)
            .args(validator.files.iter().map(|(file, _)| file))
            .output()
            .expect("xmllint (libxml2-utils) is installed");
        let output_text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "namespace {name}:\n{output_text}");
        let valid = output_text.lines().filter(|line| line.ends_with(" validates")).count();
        assert_eq!(valid, validator.files.len(), "{output_text}");
        assert_eq!(valid, expected, "messages of namespace {name} that were validated");
        eprintln!("{valid} messages of namespace {name} are valid");
    }
}

/// Checks that the schemas detect errors.
#[test]
#[cfg_attr(not(has_esim_xsd), ignore = "needs LANDFALL_ESIM_XSD, a folder with the schemas of SGP.02")]
fn the_schemas_refuse_invalid_messages() {
    let schemas = schemas();
    let folder = tempfile::tempdir().unwrap();
    let wrapper_file = folder.path().join("wrapper.xsd");
    fs::write(&wrapper_file, wrapper(&schemas.join("3"), Namespace::V3)).unwrap();
    let right = es3::GetEisRequest { base: samples::request(), eid: samples::eid() }.to_xml(Namespace::V3);
    for (name, text, is_valid) in [
        ("right", right.clone(), true),
        ("name", right.replace("rps:Eid", "rps:eid"), false),
        ("namespace", right.replace("messaging/3", "messaging/1"), false),
    ] {
        let file = folder.path().join(format!("{name}.xml"));
        fs::write(&file, text).unwrap();
        let output = Command::new("xmllint")
            .args(["--nonet", "--noout", "--schema"])
            .args([&wrapper_file, &file])
            .output()
            .expect("xmllint (libxml2-utils) is installed");
        assert_eq!(output.status.success(), is_valid, "{name}");
    }
}

/// Returns all quoted Actions in the WSDLs of a folder.
fn actions(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "wsdl") {
            let text = fs::read_to_string(path).unwrap();
            found.extend(
                text.split('"').filter(|part| part.starts_with("http://gsma.com/")).map(str::to_owned),
            );
        }
    }
    found
}

#[test]
#[cfg_attr(not(has_esim_xsd), ignore = "needs LANDFALL_ESIM_XSD, a folder with the schemas of SGP.02")]
fn the_actions_equal_those_of_the_published_wsdls() {
    let schemas = schemas();
    let known: BTreeSet<String> = ["1", "3"].iter().flat_map(|name| actions(&schemas.join(name))).collect();
    let mut own_actions = Vec::new();
    macro_rules! functions {
        ($($function:ty),+ $(,)?) => { $(
            own_actions.push(<$function>::request_action());
            own_actions.push(<$function>::response_action());
        )+ };
    }
    functions!(
        es1::RegisterEis,
        es2::GetEis,
        es2::DownloadProfile,
        es2::UpdatePolicyRules,
        es2::UpdateSubscriptionAddress,
        es2::EnableProfile,
        es2::DisableProfile,
        es2::DeleteProfile,
        es3::GetEis,
        es3::AuditEis,
        es3::CreateIsdp,
        es3::SendData,
        es3::UpdatePolicyRules,
        es3::UpdateSubscriptionAddress,
        es3::UpdateConnectivityParameters,
        es3::EnableProfile,
        es3::DisableProfile,
        es3::DeleteIsdp,
        es4::GetEis,
        es4::AuditEis,
        es4::UpdatePolicyRules,
        es4::UpdateSubscriptionAddress,
        es4::EnableProfile,
        es4::DisableProfile,
        es4::DeleteProfile,
        es4::PrepareSmsrChange,
        es4::SmsrChange,
        es7::HandoverEuicc,
        es7::AuthenticateSmsr,
        es7::CreateAdditionalKeySet,
    );
    macro_rules! notifications {
        ($($notification:ty),+ $(,)?) => { $( own_actions.push(<$notification>::action()); )+ };
    }
    notifications!(
        es2::HandleProfileEnabledNotification,
        es2::HandleProfileDisabledNotification,
        es2::HandleProfileDeletedNotification,
        es2::HandleSmsrChangeNotification,
        es3::HandleProfileEnabledNotification,
        es3::HandleProfileDisabledNotification,
        es3::HandleProfileDeletedNotification,
        es3::HandleSmsrChangeNotification,
        es4::HandleProfileEnabledNotification,
        es4::HandleProfileDisabledNotification,
        es4::HandleProfileDeletedNotification,
        es4::HandleSmsrChangeNotification,
        es7::HandleSmsrChangeNotification,
    );
    let unknown: Vec<_> = own_actions.iter().filter(|action| !known.contains(*action)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}
