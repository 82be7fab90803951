//! ProfileHeader.

use std::fmt;

use rsp::der::{Asn1, DecodeError, Null, Reader, Tag, Unknown, write_tlv};
use rsp::ids::Oid;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::json::{self, FromJson, Misread};
use crate::macros::{Present, fields};
use crate::octets::Octets;

/// ServicesList in the order of the ASN.1; the position is the tag number.
const SERVICES: [&str; 30] = [
    "contactless",
    "usim",
    "isim",
    "csim",
    "milenage",
    "tuak128",
    "cave",
    "gba-usim",
    "gba-isim",
    "mbms",
    "eap",
    "javacard",
    "multos",
    "multiple-usim",
    "multiple-isim",
    "multiple-csim",
    "tuak256",
    "usim-test-algorithm",
    "ber-tlv",
    "dfLink",
    "cat-tp",
    "get-identity",
    "profile-a-x25519",
    "profile-b-p256",
    "suciCalculatorApi",
    "dns-resolution",
    "scp11ac",
    "scp11c-authorization-mechanism",
    "s16mode",
    "eaka",
];

/// A service that a profile may need: its number in ServicesList.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service(pub u8);

impl Service {
    /// USIM.
    pub const USIM: Self = Self(1);
    /// ISIM.
    pub const ISIM: Self = Self(2);
    /// CSIM.
    pub const CSIM: Self = Self(3);
    /// Milenage.
    pub const MILENAGE: Self = Self(4);
    /// TUAK with a key of 128 bits.
    pub const TUAK128: Self = Self(5);
    /// CAVE.
    pub const CAVE: Self = Self(6);
    /// GBA in the USIM.
    pub const GBA_USIM: Self = Self(7);
    /// GBA in the ISIM.
    pub const GBA_ISIM: Self = Self(8);
    /// EAP.
    pub const EAP: Self = Self(10);
    /// Java Card.
    pub const JAVACARD: Self = Self(11);
    /// MULTOS.
    pub const MULTOS: Self = Self(12);
    /// More than one USIM.
    pub const MULTIPLE_USIM: Self = Self(13);
    /// More than one ISIM.
    pub const MULTIPLE_ISIM: Self = Self(14);
    /// More than one CSIM.
    pub const MULTIPLE_CSIM: Self = Self(15);
    /// TUAK with a key of 256 bits.
    pub const TUAK256: Self = Self(16);
    /// The test algorithm of TS 34.108.
    pub const USIM_TEST_ALGORITHM: Self = Self(17);
    /// BER-TLV files.
    pub const BER_TLV: Self = Self(18);
    /// Linked directories.
    pub const DF_LINK: Self = Self(19);
    /// CAT_TP.
    pub const CAT_TP: Self = Self(20);
    /// GET IDENTITY.
    pub const GET_IDENTITY: Self = Self(21);
    /// SUCI profile A.
    pub const PROFILE_A_X25519: Self = Self(22);
    /// SUCI profile B.
    pub const PROFILE_B_P256: Self = Self(23);

    /// The ASN.1 name.
    pub fn name(self) -> Option<&'static str> {
        SERVICES.get(usize::from(self.0)).copied()
    }

    /// The service with that ASN.1 name.
    pub fn named(name: &str) -> Option<Self> {
        let number = SERVICES.iter().position(|known| *known == name)?;
        u8::try_from(number).ok().map(Self)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "service-{}", self.0),
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The services that the eUICC must have for this profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServicesList {
    /// In ascending order.
    pub services: Vec<Service>,
    /// Elements that are not the NULL of a service.
    pub unknown: Unknown,
}

impl Asn1 for ServicesList {
    const TAG: Tag = Tag::SEQUENCE;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        let mut contents = Vec::new();
        for service in &self.services {
            Null.encode_as(Tag::context(service.0, false), &mut contents);
        }
        contents.extend_from_slice(&self.unknown.0);
        write_tlv(tag, &contents, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut inner = reader.enter(tag)?;
        let mut services = Vec::new();
        while let Some(next) = inner.peek()? {
            let Some(number) = (0..=127).find(|number| Tag::context(*number, false) == next) else { break };
            Null::decode_as(next, &mut inner).map_err(|error| error.within(&Service(number).to_string()))?;
            services.push(Service(number));
        }
        Ok(Self { services, unknown: Unknown::decode_as(Tag::CHOICE, &mut inner)? })
    }
}

impl Serialize for ServicesList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for service in &self.services {
            map.serialize_entry(&service.to_string(), &Null)?;
        }
        if self.unknown.is_present() {
            map.serialize_entry("unknown", &self.unknown)?;
        }
        map.end()
    }
}

impl FromJson for ServicesList {
    fn from_json(value: &Value) -> Result<Self, Misread> {
        let object = value.as_object().ok_or_else(|| Misread::new("a table of services is expected here"))?;
        let mut services = Vec::new();
        for (name, value) in object.iter().filter(|(name, _)| *name != "unknown") {
            let numbered = || name.strip_prefix("service-")?.parse().ok().filter(|n| *n < 128).map(Service);
            let service = Service::named(name).or_else(numbered);
            services.push(
                service.ok_or_else(|| {
                    Misread::new("this is not a service of the profile header").within(name)
                })?,
            );
            Null::from_json(value).map_err(|misread| misread.within(name))?;
        }
        services.sort_unstable();
        Ok(Self { services, unknown: json::field(object, "unknown")? })
    }
}

fields! {
    /// An application that the eUICC must already have.
    pub struct MandatoryAid = 0x30 {
        "aid" aid: Octets = 0x80,
        "version" version: Octets = 0x81,
    }
}

fields! {
    /// Details of an IoT minimal profile.
    pub struct IotOptions = 0x30 {
        "pix" pix: Octets = 0x80,
    }
}

fields! {
    /// ProfileHeader: the first PE.
    pub struct ProfileHeader = 0xA0 {
        "major-version" major_version: i64 = 0x80,
        "minor-version" minor_version: i64 = 0x81,
        "profileType" profile_type: Option<String> = 0x82,
        "iccid"
        /// Digits in reading order, padded with F; not swapped as in EF.ICCID.
        iccid: Octets = 0x83,
        "pol" pol: Option<Octets> = 0x84,
        "eUICC-Mandatory-services" mandatory_services: ServicesList = 0xA5,
        "eUICC-Mandatory-GFSTEList" mandatory_gfste_list: Vec<Oid> = 0xA6,
        "connectivityParameters" connectivity_parameters: Option<Octets> = 0x87,
        "eUICC-Mandatory-AIDs" mandatory_aids: Option<Vec<MandatoryAid>> = 0xA8,
        "iotOptions" iot_options: Option<IotOptions> = 0xA9,
    }
}
