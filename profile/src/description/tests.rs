use super::*;
use crate::element::{FileSystemKind, ProfileElement};
use crate::{Fid, FileSystem};

const TEN_LINES: &str = r#"
iccid = "89724990000000000129"
imsi = "724990000000012"
msisdn = "+5511987654321"
[authentication]
ki = "000102030405060708090A0B0C0D0E0F"
opc = "101112131415161718191A1B1C1D1E1F"
[usim]
spn = "Local Brasil"
smsc = "+5511900000000"
"#;

fn full() -> Description {
    let more = r#"
services = [10, 12, 19, 21, 85, 122, 123, 124, 125, 132]
enabled-services = [1]
home-plmns = ["724-99 eutran ngran"]
operator-plmns = ["724-05", "724-10 4080"]
equivalent-plmns = ["724-98"]
forbidden-plmns = ["724-02"]
gid1 = "A1"
emergency = ["112", "190"]
[codes]
pin1 = "1234"
pin1-enabled = true
adm1 = "98765432"
[5g]
routing-indicator = "17"
suci-by-usim = true
suci-keys = [{ id = 27, profile = "A", key = "5A8D38864820197C3394B92613B20B91633CBD897119273BF8E4A6F4EEC0A650" }]
ursp = "0102"
[isim]
pcscf = ["pcscf.example.com"]
[[security-domain.keys]]
version = 2
type = "3des"
enc = "000102030405060708090A0B0C0D0E0F"
mac = "101112131415161718191A1B1C1D1E1F"
dek = "202122232425262728292A2B2C2D2E2F"
[[rfm]]
aid = "A00000055910100001"
tar = ["B00140"]
usim = true
[[identity]]
countries = ["BR", "AR"]
imsi = "724050000000001"
ki = "000102030405060708090A0B0C0D0E0F"
opc = "101112131415161718191A1B1C1D1E1F"
spn = "Elsewhere"
"#;
    Description::parse(&format!("{TEN_LINES}{more}")).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn ten_lines_make_a_profile_that_decompiles_to_itself() {
    let description = Description::parse(TEN_LINES).unwrap();
    let package = description.build().unwrap_or_else(|e| panic!("{e}"));
    let back = decompile(&package).unwrap();
    assert!(back.by_terms_alone, "{}", back.description.to_toml());
    assert_eq!(back.description.build().unwrap().encode(), package.encode());
    assert_eq!(back.description.imsi, description.imsi);
    assert_eq!(back.description.msisdn, description.msisdn);
    assert_eq!(back.description.usim.smsc, description.usim.smsc);
    let again = Description::parse(&back.description.to_toml()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(again, back.description);
}

#[test]
fn every_term_goes_into_the_package_and_comes_back() {
    for format in [Format::V2_3, Format::V3_3] {
        for files in [FilesBy::Templates, FilesBy::Paths] {
            let description = Description { format, files, ..full() };
            let package = description.build().unwrap_or_else(|e| panic!("{format} {files:?}: {e}"));
            let back = decompile(&package).unwrap_or_else(|e| panic!("{format} {files:?}: {e}"));
            let text = back.description.to_toml();
            let again = Description::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(
                again.build().unwrap_or_else(|e| panic!("{}", e.in_text(&text))).encode(),
                package.encode(),
                "{format} {files:?}"
            );
            let (is, was) = (&back.description, &description);
            assert_eq!((is.iccid, is.imsi, &is.msisdn), (was.iccid, was.imsi, &was.msisdn));
            assert_eq!(is.five_g.suci_keys, was.five_g.suci_keys, "{format} {files:?}");
            assert_eq!(is.usim.home_plmns, was.usim.home_plmns, "{format} {files:?}");
            assert_eq!(is.usim.gid1, was.usim.gid1, "{format} {files:?}");
        }
    }
}

#[test]
fn files_made_by_path_are_those_of_the_templates() {
    let files = |files| {
        let package = Description { files, ..full() }.build().unwrap_or_else(|e| panic!("{e}"));
        if files == FilesBy::Paths {
            let kinds = package.elements.iter().filter_map(|element| match element {
                ProfileElement::FileSystem(element) => Some(element.kind),
                _ => None,
            });
            assert_eq!(kinds.collect::<Vec<_>>(), [FileSystemKind::Mf]);
        }
        let made = FileSystem::build(&package).unwrap();
        made.all()
            .map(|(index, file)| {
                let content = made.content(index).map(<[u8]>::to_vec);
                (
                    made.path_of(index),
                    file.kind.clone(),
                    file.sfi,
                    file.access_rule,
                    file.special_information,
                    content,
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(files(FilesBy::Paths), files(FilesBy::Templates));
}

#[test]
fn the_table_of_identities_is_where_it_is_documented() {
    let package = full().build().unwrap();
    let files = FileSystem::build(&package).unwrap();
    let table = files.content(files.by_path(&[Fid(0x7F4D), Fid(0x6F1D)]).unwrap()).unwrap();
    assert!(hex::encode_upper(table).starts_with("A04080044252415281090879"), "{}", hex::encode_upper(table));
}

#[test]
fn a_mistake_says_its_line() {
    let said = |text: &str| Description::parse(text).unwrap_err().to_string();
    assert!(said("iccid = '89724990000000000129'\nimsy = '1'\n").starts_with("line 2: unknown field `imsy`"));
    assert!(said("\n\n[codes]\npin1 = '12'\n").starts_with("line 4: a code has 4 to 8 digits"));
    assert!(said("imsi = 5").starts_with("line 1: "));
    let text = "iccid = '89724990000000000129'\n[authentication]\nki = '00'\n";
    let mistakes = Description::parse(text).unwrap().build().unwrap_err().in_text(text).to_string();
    let lines: Vec<&str> = mistakes.lines().collect();
    assert_eq!(lines.len(), 3, "{mistakes}");
    assert!(lines[0].starts_with("imsi: it is missing"), "{mistakes}");
    assert!(lines[1].starts_with("line 2: authentication.opc: it is missing"), "{mistakes}");
    assert!(lines[2].starts_with("line 3: authentication.ki: it has 1 octets"), "{mistakes}");
}

#[test]
fn an_element_says_what_is_wrong_with_it() {
    let wrong = |text: &str| Description::parse(text).unwrap().build().unwrap_err().in_text(text).to_string();
    let said =
        wrong("\n[[element]]\n[element.end]\nend-header = { mandated = true, identification = 'x' }\n");
    assert!(said.starts_with("line 2: element[0]: end.end-header.identification: a whole number"), "{said}");
    let said = wrong("[[element]]\n[element.usim]\nef-imsi = [{ fillFileContent = '{ef-imsi}' }]\n");
    assert!(said.contains("{ef-imsi} has no value"), "{said}");
    let said =
        wrong("imsi = '001010123456789'\n[[element]]\n[element.end]\nend-header = { identification = 1 }\n");
    assert!(said.contains("line 1: imsi: no element has {ef-imsi}"), "{said}");
}

#[test]
fn metadata_are_what_the_files_say() {
    let text = format!(
        "{TEN_LINES}[metadata]\nprofile-name = 'Name'\npolicy-rules = ['delete-not-allowed']\nclass = 'test'\n"
    );
    let description = Description::parse(&text).unwrap();
    let installed = InstalledProfile::of(&description.build().unwrap(), &Capabilities::default()).unwrap();
    let metadata = store_metadata(&installed, &description.metadata.said(), "smdp.example.com").unwrap();
    assert_eq!(metadata.iccid, description.iccid.unwrap());
    assert_eq!(metadata.service_provider_name, "Local Brasil");
    assert_eq!(metadata.profile_name, "Name");
    assert_eq!(metadata.profile_owner.unwrap().mcc_mnc, [0x27, 0xF4, 0x99]);
    assert!(metadata.profile_policy_rules.is_some());
}

#[test]
fn the_schema_is_the_one_in_the_documents() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/profile.schema.json");
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(path, schema()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == schema(),
        "docs/profile.schema.json is not up to date: run this test with LANDFALL_REGENERATE=1"
    );
}
