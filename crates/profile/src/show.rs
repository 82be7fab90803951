//! Readable and machine-readable output of a package.

mod files;

use std::fmt::Write;

use serde_json::Value;

use crate::check::{files_of, path_of};
use crate::element::{PinCodesChoice, ProfileElement};
use crate::{Capabilities, FileIndex, InstalledProfile, Package, ProfileFiles};

/// Options of the output.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShowOptions {
    /// Show keys and codes.
    pub secrets: bool,
    /// Show every file with its contents.
    pub contents: bool,
}

pub use files::{ShownFile, files, files_text};
pub(crate) use files::{is_secret, shown_file};

/// The replacement of a secret.
pub(crate) const HIDDEN: &str = "(hidden)";

/// ASN.1 names of secret elements.
pub(crate) const SECRETS: [&str; 10] = [
    "key",
    "opc",
    "keyData",
    "pinValue",
    "pukValue",
    "authenticationKey",
    "ssd",
    "hrpdAccessAuthenticationData",
    "simpleIPAuthenticationData",
    "mobileIPAuthenticationData",
];

/// The package as readable text: the header, the profile elements in order, the files, and
/// everything else.
pub fn text(package: &Package, options: &ShowOptions) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = header(package, &mut out);
    let _ = elements(package, &mut out);
    match InstalledProfile::of(package, &Capabilities::default()) {
        Ok(installed) => {
            let _ = subscription(&installed, &mut out);
            let _ = tree(&installed.files, options, &mut out);
            let _ = facts(&installed, options, &mut out);
        }
        Err(refused) => {
            let _ = writeln!(out, "\nfiles: cannot be created: {refused}");
        }
    }
    out
}

/// The package for a script: an array of profile elements under their ASN.1 names.
pub fn json(package: &Package, options: &ShowOptions) -> Value {
    let files = files_of(package);
    let secret_files = files.all().filter(|(index, _)| is_secret(&files, *index));
    let secret_files: Vec<&[u8]> = secret_files.filter_map(|(index, _)| files.content(index)).collect();
    let elements = package.elements.iter().map(|element| {
        let mut value = serde_json::to_value(element).unwrap_or(Value::Null);
        if !options.secrets {
            hide(&mut value, &secret_files);
        }
        value
    });
    Value::Array(elements.collect())
}

fn hide(value: &mut Value, secret_files: &[&[u8]]) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let is_secret = match field.as_str() {
                    Some(text) if name == "fillFileContent" => is_part(text, secret_files),
                    Some(_) => SECRETS.contains(&name.as_str()),
                    None => false,
                };
                if is_secret {
                    *field = Value::String(HIDDEN.to_owned());
                } else {
                    hide(field, secret_files);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| hide(element, secret_files)),
        _ => {}
    }
}

/// True if one of the files contains these bytes, apart from padding. The owner does not matter: a
/// secret that another file also contains is hidden there too.
fn is_part(hex_digits: &str, files: &[&[u8]]) -> bool {
    let Ok(octets) = hex::decode(hex_digits) else { return false };
    let is_filling = octets.iter().all(|octet| *octet == 0xFF);
    !is_filling && files.iter().any(|file| file.windows(octets.len()).any(|part| part == octets))
}

fn header(package: &Package, out: &mut String) -> std::fmt::Result {
    let Some(header) = package.header() else { return writeln!(out, "no profile header") };
    writeln!(out, "profile   {}", header.profile_type.as_deref().unwrap_or("(no type)"))?;
    writeln!(out, "ICCID     {}", header.iccid.to_string().trim_end_matches(['F', 'f']))?;
    writeln!(out, "version   {}.{}", header.major_version, header.minor_version)?;
    let services: Vec<String> = header.mandatory_services.services.iter().map(ToString::to_string).collect();
    writeln!(out, "needs     {}", services.join(", "))
}

fn elements(package: &Package, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\nprofile elements")?;
    for element in &package.elements {
        let number =
            element.identification().map_or_else(|| "   ".to_owned(), |number| format!("{number:>3}"));
        let mandated = if element.is_mandated() { "mandated" } else { "" };
        let detail = match element {
            ProfileElement::FileSystem(files) => {
                format!("template {}, {} files named", files.template_id, files.files.len())
            }
            ProfileElement::GenericFileManagement(gfm) => {
                format!("{} commands", gfm.commands.iter().map(Vec::len).sum::<usize>())
            }
            ProfileElement::PinCodes(pins) => match &pins.pin_codes {
                PinCodesChoice::Pinconfig(codes) => format!("{} codes", codes.len()),
                PinCodesChoice::FilePath(_) => "codes of another directory".to_owned(),
            },
            ProfileElement::PukCodes(puks) => format!("{} codes", puks.puk_codes.len()),
            _ => String::new(),
        };
        writeln!(out, "  {number}  {:<22} {mandated:<9} {detail}", element.name())?;
    }
    Ok(())
}

/// TS 31.102: the identity of the subscription in the first USIM.
fn subscription(installed: &InstalledProfile, out: &mut String) -> std::fmt::Result {
    let Some(usim) = installed.usim() else { return Ok(()) };
    writeln!(out)?;
    if let Some(imsi) = usim.imsi() {
        let home = usim.home().map(|plmn| format!(", home {plmn}")).unwrap_or_default();
        writeln!(out, "IMSI      {imsi}{home}")?;
    }
    if let Some(name) = usim.service_provider_name() {
        writeln!(out, "SPN       {name}")?;
    }
    Ok(())
}

fn tree(files: &ProfileFiles, options: &ShowOptions, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\nfiles ({}, {} octets of contents)", files.all().count(), files.memory())?;
    branch(files, FileIndex::MF, 1, options, out)
}

fn branch(
    files: &ProfileFiles,
    index: FileIndex,
    depth: usize,
    options: &ShowOptions,
    out: &mut String,
) -> std::fmt::Result {
    let Some(file) = files.file(index) else { return Ok(()) };
    let indent = "  ".repeat(depth);
    let name = file.name.as_deref().unwrap_or("");
    let size = match (files.records(index), file.kind.record_length(), files.content(index)) {
        (Some(count), Some(length), _) => format!("{count} x {length}"),
        (_, _, Some(content)) => content.len().to_string(),
        _ => String::new(),
    };
    let sfi = file.sfi.map(|sfi| format!("SFI {sfi:02X}")).unwrap_or_default();
    let link = file.link.map(|real| format!("-> {}", path_of(files, real))).unwrap_or_default();
    let line = format!("{indent}{} {:<4} {name:<24} {size:>10}  {sfi}{link}", file.fid, file.kind.letters());
    writeln!(out, "{}", line.trim_end())?;
    if options.contents
        && let Some(content) = files.content(index)
    {
        let hides = is_secret(files, index) && !options.secrets;
        let shown = if hides { HIDDEN.to_owned() } else { hex::encode_upper(content) };
        writeln!(out, "{indent}     {shown}")?;
    }
    // A link's target is not expanded here: it can be a directory that contains the link.
    if file.link.is_some() {
        return Ok(());
    }
    let children: Vec<FileIndex> = files.children(index).map(|(child, _)| child).collect();
    // The package limits the nesting: a directory is always created in an existing one.
    children.into_iter().try_for_each(|child| branch(files, child, depth + 1, options, out))
}

fn facts(installed: &InstalledProfile, options: &ShowOptions, out: &mut String) -> std::fmt::Result {
    let secret = |value: &crate::SecretOctets| match options.secrets {
        true => hex::encode_upper(value.expose()),
        false => HIDDEN.to_owned(),
    };
    let facts = &installed.facts;
    writeln!(out, "\nauthentication")?;
    for aka in &facts.aka {
        let adf = installed.files.file(aka.adf).map(|file| file.fid.to_string()).unwrap_or_default();
        writeln!(out, "  ADF {adf}  {}  K {}  OPc {}", aka.algorithm, secret(&aka.key), secret(&aka.opc))?;
    }
    writeln!(out, "\ncodes")?;
    for pins in &facts.pins {
        let directory =
            installed.files.file(pins.directory).map(|file| file.fid.to_string()).unwrap_or_default();
        if let crate::facts::PinCodesOf::Own(codes) = &pins.codes {
            for pin in codes {
                let enabled = if pin.is_enabled() { "enabled" } else { "disabled" };
                writeln!(
                    out,
                    "  {directory}  {:<16} {enabled:<9} {}",
                    pin.reference.to_string(),
                    secret(&pin.value)
                )?;
            }
        }
    }
    for puk in &facts.puks {
        writeln!(out, "        {:<26} {}", puk.reference.to_string(), secret(&puk.value))?;
    }
    writeln!(
        out,
        "\nsecurity domains {}, RFM {}, applications {}",
        facts.security_domains.len(),
        facts.rfm.len(),
        facts.applications.len()
    )?;
    installed.not_run().try_for_each(|it| writeln!(out, "  application {it}: stored by the card, not run"))
}

#[cfg(test)]
mod tests {
    use rsp::der::Unknown;
    use rsp::finding::{Finding, FindingKind};

    use super::*;
    use crate::element::{Application, Fcp, FileManagement, GenericFileManagement, PeHeader};
    use crate::generic::{Subscription, generic};
    use crate::{Fid, Octets};

    #[test]
    fn a_directory_linked_to_an_enclosing_one_is_shown_once() {
        let mut package = generic(&Subscription::default());
        let link = Fcp {
            file_descriptor: Some([0x78, 0x21].into()),
            file_id: Some(Fid(0x7FAA)),
            link_path: Some([0x7F, 0xD0].into()),
            ..Fcp::default()
        };
        let commands =
            vec![FileManagement::FilePath([0x7F, 0xD0].into()), FileManagement::CreateFcp(Box::new(link))];
        let end = package.elements.len() - 1;
        let made = GenericFileManagement {
            header: PeHeader::mandated(99),
            commands: vec![commands],
            unknown: Unknown::default(),
        };
        package.elements.insert(end, ProfileElement::GenericFileManagement(made));
        let shown = text(&package, &ShowOptions::default());
        assert_eq!(shown.matches("ef-imsi").count(), 1, "{shown}");
        assert!(shown.lines().any(|line| line.contains("7FAA") && line.contains("-> 3F00/7FD0")), "{shown}");
        assert!(!files_text(&package, &ShowOptions::default()).is_empty());
    }

    #[test]
    fn an_application_is_shown_as_not_run() {
        let mut package = generic(&Subscription::default());
        let aid = Octets::from_hex("A000000559AA01").unwrap();
        let application = Application::loading(PeHeader::mandated(99), aid, [1, 2].into());
        let end = package.elements.len() - 1;
        package.elements.insert(end, ProfileElement::Application(Box::new(application)));
        let shown = text(&package, &ShowOptions::default());
        assert!(shown.contains("application A000000559AA01: stored by the card, not run"), "{shown}");
        let findings = InstalledProfile::of(&package, &Capabilities::default()).unwrap().findings();
        assert_eq!(findings, [Finding::new(FindingKind::ApplicationNotRun, "A000000559AA01")]);
    }

    #[test]
    fn keys_of_further_identities_are_shown_only_on_request() {
        let text = r#"
iccid = "89724990000000000129"
imsi = "724990000000012"
[authentication]
ki = "000102030405060708090A0B0C0D0E0F"
opc = "101112131415161718191A1B1C1D1E1F"
[[identity]]
countries = ["234"]
imsi = "234150000000012"
ki = "5A5B5C5D5E5F50515253545556575859"
opc = "6A6B6C6D6E6F60616263646566676869"
"#;
        let description = crate::description::Description::parse(text).unwrap_or_else(|e| panic!("{e}"));
        for files in [crate::description::FilesBy::Templates, crate::description::FilesBy::Paths] {
            let description = crate::description::Description { files, ..description.clone() };
            let package = description.build().unwrap_or_else(|e| panic!("{e}"));
            let shown = |secrets| {
                let options = ShowOptions { secrets, contents: true };
                let json = json(&package, &options).to_string().to_uppercase();
                [super::text(&package, &options), files_text(&package, &options), json]
            };
            for (hidden, whole) in shown(false).iter().zip(&shown(true)) {
                for key in ["5A5B5C5D5E5F50515253545556575859", "6A6B6C6D6E6F60616263646566676869"] {
                    assert!(!hidden.contains(key), "{hidden}");
                    assert!(whole.contains(key), "{whole}");
                }
            }
        }
    }

    #[test]
    fn the_subscription_is_shown_and_its_secrets_only_on_request() {
        let package = generic(&Subscription {
            imsi: "724990000000012".to_owned(),
            key: [0xAB; 16],
            iccid: [0x89, 0x72, 0x49, 0, 0, 0, 0, 0, 0x01, 0x2F],
            ..Subscription::default()
        });
        let shown = text(&package, &ShowOptions::default());
        for wanted in
            ["724990000000012, home 724-99", "8972490000000000012", "ef-imsi", "pinAppl1", "milenage"]
        {
            assert!(shown.contains(wanted), "{wanted} in\n{shown}");
        }
        let key = "AB".repeat(16);
        let everything = ShowOptions { secrets: true, contents: true };
        assert!(!shown.contains(&key) && text(&package, &everything).contains(&key));
        assert!(!json(&package, &ShowOptions::default()).to_string().to_uppercase().contains(&key));
        assert!(json(&package, &everything).to_string().to_uppercase().contains(&key));
        assert!(!shown.contains("3030303"), "PINs are secrets");
    }
}
