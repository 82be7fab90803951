//! Several identities.

use profile::element::{FileManagement, GenericFileManagement, ProfileElement};
use profile::identities::Identities;
use profile::{Description, Octets, Package};

use super::*;

defects! {
    "an applet without its file" in "application" gives "identities-missing": package {
        add(package, |_| {});
        package.elements.retain(|element| {
            !matches!(element, ProfileElement::GenericFileManagement(it) if is_of_identities(it))
        });
    }
    "identities that end too early" in "genericFileManagement" gives "identities-unreadable": package {
        add_octets(package, octets("A0098107082943510000"));
    }
    "an invalid country" in "genericFileManagement" gives "identities-unreadable": package {
        add_octets(package, octets("A00F800227048109087942500000000010"));
    }
    "no identity for all other countries" in "genericFileManagement" gives "identity-default": package {
        add(package, |identities| drop(identities.0.remove(0)));
    }
    "two identities for all other countries" in "genericFileManagement" gives "identity-default": package {
        add(package, |identities| identities.0[1].countries.clear());
    }
    "another identity in EF.IMSI" in "genericFileManagement" gives "identity-default": package {
        add(package, |identities| identities.0[0].imsi = "234150000000099".parse().unwrap());
    }
    "an IMSI twice" in "genericFileManagement" gives "identity-twice": package {
        add(package, |identities| identities.0[1].imsi = identities.0[0].imsi);
    }
    "a country twice" in "genericFileManagement" gives "identity-country-twice": package {
        add(package, |identities| identities.0[1].countries.push("724".parse().unwrap()));
    }
    "a K of 15 octets" in "genericFileManagement" gives "identity-keys": package {
        add(package, |identities| identities.0[1].keys = Some(([1; 15].into(), [2; 16].into())));
    }
    "a missing file" in "genericFileManagement" gives "identity-file": package {
        add(package, |identities| identities.0[1].files[0].path[1] = profile::Fid(0x6FFF));
    }
    "contents that do not fit into their file" in "genericFileManagement" gives "identity-file": package {
        add(package, |identities| identities.0[1].files[1].contents = octets("000000"));
    }
}

/// Adds the elements that a description with two identities has in addition. The first identity has
/// the IMSI of the valid package.
fn add(package: &mut Package, change: impl FnOnce(&mut Identities)) {
    let installed = profile::InstalledProfile::of(package, &profile::Capabilities::default()).unwrap();
    let usim = installed.files.adfs(&[0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02]).next().unwrap().0;
    let imsi = installed.files.content(installed.files.child(usim, profile::Fid(0x6F07)).unwrap()).unwrap();
    let mut identities = described().1;
    identities.0[0].imsi = rsp::ids::Imsi::from_ef(imsi).unwrap();
    change(&mut identities);
    add_octets(package, identities.encode().into());
}

fn add_octets(package: &mut Package, table: Octets) {
    let (elements, _) = described();
    for mut element in elements {
        match &mut element {
            ProfileElement::GenericFileManagement(files) => {
                files.header.identification = 201;
                for command in files.commands.iter_mut().flatten() {
                    match command {
                        FileManagement::FillFileContent(content) => *content = table.clone(),
                        // The valid package has no record 16.
                        FileManagement::CreateFcp(fcp) if fcp.file_id == Some(profile::Fid(0x6F1D)) => {
                            fcp.security_attributes_referenced = Some(octets("2F060D"));
                            fcp.ef_file_size = Some(u16::try_from(table.len()).unwrap().to_be_bytes().into());
                        }
                        // It also has no administrative code.
                        FileManagement::CreateFcp(fcp) => fcp.pin_status_template_do = None,
                        _ => {}
                    }
                }
            }
            ProfileElement::Application(applet) => applet.header.identification = 202,
            _ => continue,
        }
        before_end(package, element);
    }
    let ProfileElement::Header(header) = &mut package.elements[0] else { unreachable!() };
    let ProfileElement::Header(with_applet) = &described().0[0] else { unreachable!() };
    header.mandatory_aids.clone_from(&with_applet.mandatory_aids);
}

fn is_of_identities(files: &GenericFileManagement) -> bool {
    files.header.identification == 201
}

fn described() -> (Vec<ProfileElement>, Identities) {
    let text = "iccid = '89724990000000000129'\nimsi = '234150000000012'\n[authentication]\n\
                ki = '000102030405060708090A0B0C0D0E0F'\nopc = '101112131415161718191A1B1C1D1E1F'\n\
                [[identity]]\ncountries = ['724']\nimsi = '724050000000001'\n";
    let package = Description::parse(text).unwrap().build().unwrap();
    let files = profile::FileSystem::build(&package).unwrap();
    let identities = Identities::of(&files).unwrap().unwrap();
    (package.elements, identities)
}
