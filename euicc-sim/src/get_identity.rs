//! GET IDENTITY: TS 31.102 section 7.5, with the SUCI of TS 33.501 annex C as TS 24.501 section
//! 9.11.3.4 codes it.

use crypto::suci::{Concealed, HomeNetworkPublicKey, Profile};
use profile::{ProtectionScheme, SuciCalcInfo, Usim};
use rsp::der::{Tag, tlv_bytes};
use rsp::ids::{Imsi, Plmn};
use world::World;

use super::StatusWord;
use super::apdu::Command;
use super::authenticate::current_application;
use super::context::Context;
use super::iso7816::pin::may_authenticate;

/// Identity contexts, P2.
const SUCI: u8 = 0x01;
const SUCI_5G_NSWO: u8 = 0x02;

/// Services of EF.UST.
const SUBSCRIPTION_IDENTIFIER_PRIVACY: usize = 124;
const SUCI_CALCULATION_BY_THE_USIM: usize = 125;
const SUPI_OF_TYPE_NSI_GLI_GCI: usize = 130;

/// SUCI TLV data object.
const SUCI_OBJECT: Tag = Tag(0xA1);

/// The first octet of a SUCI: type of identity SUCI, and the SUPI format.
const SUPI_IS_IMSI: u8 = 0x01;
const SUPI_IS_NETWORK_SPECIFIC_IDENTIFIER: u8 = 0x11;

const NULL_SCHEME: u8 = 0;

/// GET IDENTITY for the application of the channel. Its PIN must be verified.
pub(super) fn get_identity(context: &Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    match (command.p1, command.p2) {
        (0, SUCI) => {}
        // Non-seamless WLAN offload (service 142) is not supported by this card.
        (0, SUCI_5G_NSWO) => return Err(StatusWord::FUNCTION_NOT_SUPPORTED),
        _ => return Err(StatusWord::INCORRECT_P1_P2),
    }
    if !command.data.is_empty() {
        return Err(StatusWord::WRONG_LENGTH);
    }
    let adf = current_application(context)?;
    let usim = context.profile()?.usim_in(adf).ok_or(StatusWord::FUNCTION_NOT_SUPPORTED)?;
    let is_offered =
        usim.has_service(SUBSCRIPTION_IDENTIFIER_PRIVACY) && usim.has_service(SUCI_CALCULATION_BY_THE_USIM);
    if !is_offered {
        return Err(StatusWord::FUNCTION_NOT_SUPPORTED);
    }
    if !may_authenticate(context, adf)? {
        return Err(StatusWord::SECURITY_STATUS_NOT_SATISFIED);
    }
    let supi = Supi::of(usim).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)?;
    let info = usim.suci_calc_info().ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)?;
    // The first scheme whose key is available.
    let protection = info.schemes.iter().find_map(|scheme| Protection::of(*scheme, &info));
    // req: TS.33.501-C.3-Key
    let protection = protection.ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)?;
    let suci = supi.conceal(&protection, usim.routing_indicator(), context.world)?;
    Ok(tlv_bytes(SUCI_OBJECT, &suci))
}

/// The SUPI of the subscription.
enum Supi<'a> {
    Imsi { home: Plmn, imsi: Imsi },
    NetworkSpecificIdentifier { username: &'a str, realm: &'a str },
}

/// A protection scheme and its key.
enum Protection {
    Null,
    Ecies { profile: Profile, key: HomeNetworkPublicKey, key_identifier: u8 },
}

impl Protection {
    fn of(scheme: ProtectionScheme, info: &SuciCalcInfo<'_>) -> Option<Self> {
        let profile = match scheme.identifier {
            NULL_SCHEME => return Some(Self::Null),
            1 => Profile::A,
            2 => Profile::B,
            // The other schemes are reserved or operator-specific: TS 33.501 annex C.1.
            _ => return None,
        };
        let entry = info.key(scheme)?;
        let key = HomeNetworkPublicKey::from_bytes(profile, entry.key)?;
        Some(Self::Ecies { profile, key, key_identifier: entry.identifier })
    }

    /// Protection Scheme Identifier and Home Network Public Key Identifier.
    fn identifiers(&self) -> [u8; 2] {
        match self {
            Self::Null => [NULL_SCHEME, 0],
            Self::Ecies { profile, key_identifier, .. } => [*profile as u8, *key_identifier],
        }
    }

    /// Conceals the scheme input; `None` for the null scheme.
    fn conceal(&self, scheme_input: &[u8], world: &World) -> Result<Option<Concealed>, StatusWord> {
        match self {
            Self::Null => Ok(None),
            Self::Ecies { key, .. } => {
                let concealed = key.conceal(scheme_input, &mut |octets| world.random.fill(octets));
                concealed.map(Some).map_err(|_| StatusWord::TECHNICAL_PROBLEM)
            }
        }
    }
}

impl<'a> Supi<'a> {
    /// Returns the network specific identifier if service 130 is available and the USIM contains
    /// one, otherwise the IMSI.
    fn of(usim: Usim<'a>) -> Option<Self> {
        if usim.has_service(SUPI_OF_TYPE_NSI_GLI_GCI)
            && let Some(identifier) = usim.network_specific_identifier()
        {
            let (username, realm) = identifier.rsplit_once('@')?;
            return Some(Self::NetworkSpecificIdentifier { username, realm });
        }
        Some(Self::Imsi { home: usim.home()?, imsi: usim.imsi()? })
    }

    /// The SUCI from octet 4 of the mobile identity onwards.
    fn conceal(
        &self,
        protection: &Protection,
        routing_indicator: [u8; 2],
        world: &World,
    ) -> Result<Vec<u8>, StatusWord> {
        match self {
            Self::Imsi { home, imsi } => {
                let msin = msin(imsi, *home);
                let concealed = protection.conceal(&msin, world)?;
                let output = concealed.map_or(msin, |concealed| concealed.to_bytes());
                let head: [&[u8]; 4] =
                    [&[SUPI_IS_IMSI], &home.to_bytes(), &routing_indicator, &protection.identifiers()];
                Ok([head.concat(), output].concat())
            }
            Self::NetworkSpecificIdentifier { username, realm } => {
                let concealed = protection.conceal(username.as_bytes(), world)?;
                let nai = nai(username, realm, protection, concealed.as_ref(), routing_indicator);
                Ok([&[SUPI_IS_NETWORK_SPECIFIC_IDENTIFIER], nai.as_bytes()].concat())
            }
        }
    }
}

/// The digits of the IMSI after MCC and MNC, two per octet, swapped, padded with F.
fn msin(imsi: &Imsi, home: Plmn) -> Vec<u8> {
    let digits: Vec<u8> =
        imsi.to_string().bytes().skip(3 + home.mnc().len()).map(|digit| digit & 0x0F).collect();
    digits.chunks(2).map(|pair| pair.get(1).unwrap_or(&0x0F) << 4 | pair.first().unwrap_or(&0x0F)).collect()
}

/// A SUCI as a network access identifier: TS 23.003 section 28.7.3.
fn nai(
    username: &str,
    realm: &str,
    protection: &Protection,
    concealed: Option<&Concealed>,
    routing_indicator: [u8; 2],
) -> String {
    let [scheme, key_identifier] = protection.identifiers();
    let swapped = routing_indicator.map(|octet| format!("{:02x}", octet.rotate_left(4))).concat();
    let routing_indicator = swapped.trim_end_matches('f');
    let identity = match concealed {
        None => format!("userid{username}"),
        Some(Concealed { ephemeral_key, ciphertext, mac }) => format!(
            "hnkey{key_identifier}.ecckey{}.cip{}.mac{}",
            hex::encode_upper(ephemeral_key),
            hex::encode_upper(ciphertext),
            hex::encode_upper(mac)
        ),
    };
    format!("type1.rid{routing_indicator}.schid{scheme}.{identity}@{realm}")
}

#[cfg(test)]
mod tests {
    use world::{ManualClock, Random};

    use super::*;

    /// A random source that repeats the same octets.
    struct RepeatingRandom(Vec<u8>);

    impl Random for RepeatingRandom {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.iter_mut().zip(self.0.iter().cycle()).for_each(|(to, from)| *to = *from);
        }
    }

    /// TS 33.501 annex C.4: the keys of the home network, the ephemeral keys, and the scheme
    /// outputs.
    const PUBLIC_A: &str = "5A8D38864820197C3394B92613B20B91633CBD897119273BF8E4A6F4EEC0A650";
    const PUBLIC_B: &str = "0272DA71976234CE833A6907425867B82E074D44EF907DFB4B3E21C1C2256EBCD1";

    fn conceal(supi: &Supi<'_>, scheme: u8, key: &str, ephemeral: &str, rid: [u8; 2]) -> Vec<u8> {
        let key = hex::decode(key).unwrap();
        let info = SuciCalcInfo {
            schemes: vec![ProtectionScheme { identifier: scheme, key_index: 1 }],
            keys: vec![profile::HomeNetworkKey { identifier: 27, key: &key }],
        };
        let protection = Protection::of(info.schemes[0], &info).unwrap();
        let clock = ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap());
        supi.conceal(&protection, rid, &World::new(clock, RepeatingRandom(hex::decode(ephemeral).unwrap())))
            .unwrap()
    }

    #[test]
    fn an_imsi_is_concealed_as_in_the_implementers_test_data() {
        let imsi = "274012001002086".parse().unwrap();
        let supi = Supi::Imsi { home: "274-012".parse().unwrap(), imsi };
        for (scheme, key, ephemeral, output) in [
            (0, "", "", "00012080F6"),
            (
                1,
                PUBLIC_A,
                "C80949F13EBE61AF4EBDBD293EA4F942696B9E815D7E8F0096BBF6ED7DE62256",
                "B2E92F836055A255837DEBF850B528997CE0201CB82ADFE4BE1F587D07D8457DCB02352410CDDD9E730EF3FA87",
            ),
            (
                2,
                PUBLIC_B,
                "99798858A1DC6A2C68637149A4B1DBFD1FDFF5ADDD62A2142F06699ED7602529",
                "039AAB8376597021E855679A9778EA0B67396E68C66DF32C0F41E9ACCA2DA9B9D146A33FC2716AC7DAE96AA30A4D",
            ),
        ] {
            let suci = conceal(&supi, scheme, key, ephemeral, [0x17, 0xFF]);
            let key_identifier = if scheme == 0 { "00" } else { "1B" };
            let expected = format!("0172241017FF0{scheme}{key_identifier}{output}");
            assert_eq!(hex::encode_upper(suci), expected);
        }
    }

    #[test]
    fn a_network_specific_identifier_is_concealed_as_in_the_implementers_test_data() {
        let supi = Supi::NetworkSpecificIdentifier { username: "verylongusername1", realm: "3gpp.com" };
        for (scheme, key, ephemeral, output) in [
            (0, "", "", "useridverylongusername1"),
            (
                1,
                PUBLIC_A,
                "BE9EFF3E9F22A4B42A3D236E7A6C500B3F2E7E0C7449988BA800D664BF4FCD97",
                "hnkey27.ecckey977D8B2FDAA7B64AA700D04227D5B440630EA4EC50F9082273A26BB678C92222\
                 .cip8E358A1582ADB15322C10E515141D2039A.mac12E1D7783A97F1AC",
            ),
            (
                2,
                PUBLIC_B,
                "90A5898BD29FFA3F261E00E980067C70A2B1B992A21F5B4FEF6D4DF69FE804AD",
                "hnkey27.ecckey03759BB22C563D9F4A6B3C1419E543FC2F39D6823F02A9D71162B39399218B244B\
                 .cipBE22D8B9F856A52ED381CD7EAF4CF2D525.mac3CDDC61A0A7882EB",
            ),
        ] {
            let suci = conceal(&supi, scheme, key, ephemeral, [0x76, 0xF8]);
            let expected = format!("\x11type1.rid678.schid{scheme}.{output}@3gpp.com");
            assert_eq!(String::from_utf8(suci).unwrap(), expected);
        }
    }

    #[test]
    fn an_msin_with_an_even_number_of_digits_has_no_filler() {
        assert_eq!(
            msin(&"001010123456789".parse().unwrap(), "001-01".parse().unwrap()),
            [0x10, 0x32, 0x54, 0x76, 0x98]
        );
    }
}
