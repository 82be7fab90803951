//! Connectivity parameters: SGP.02 section 4.1.3.4. They describe how a card reaches its SM-SR
//! while a profile is enabled, and are contained in ES3.UpdateConnectivityParameters and in the
//! header of a profile.
//!
//! `3A07 len { A0 SMS, A1 HTTPS, A2 CAT_TP }`. Octets observed in the field confirm A0. The
//! assignment of A1 to HTTPS and A2 to CAT_TP is an assumption; it could be the reverse.

use serde::{Deserialize, Serialize};

use crate::{
    der::{DecodeError, Elements, Reader, Tag, write_tlv},
    ota::{
        cat::{self, ChannelParameters},
        sms::Address,
    },
};

/// The data group in STORE DATA.
pub const GROUP: u16 = 0x3A07;

const SMS: Tag = Tag(0xA0);
const HTTPS: Tag = Tag(0xA1);
const CAT_TP: Tag = Tag(0xA2);

/// The bearers through which a card reaches its SM-SR. An absent bearer is unchanged, or has no
/// parameters of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectivityParameters {
    /// The service centre for short messages.
    pub sms: Option<Address>,
    /// The bearer for HTTPS: bearer description, access point, login.
    pub https: Option<ChannelParameters>,
    /// The bearer for CAT_TP.
    pub cat_tp: Option<ChannelParameters>,
}

impl ConnectivityParameters {
    /// Encodes the contents of the data group.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(address) = &self.sms {
            let mut contents = Vec::new();
            cat::write(cat::Tag::ADDRESS, cat::Required::No, &address.value(), &mut contents);
            write_tlv(SMS, &contents, &mut out);
        }
        for (tag, parameters) in [(HTTPS, &self.https), (CAT_TP, &self.cat_tp)] {
            if let Some(parameters) = parameters {
                let mut contents = Vec::new();
                parameters.write(&mut contents);
                write_tlv(tag, &contents, &mut out);
            }
        }
        out
    }

    /// Decodes the contents of the data group.
    ///
    /// # Errors
    /// The contents are not connectivity parameters, or a bearer is malformed.
    pub fn parse(contents: &[u8]) -> Result<Self, DecodeError> {
        let mut elements = Elements::of("ConnectivityParameters", Reader::new(contents))?;
        let found = Self {
            sms: elements.optional(SMS, |bearer| {
                let objects = cat::Elements::parse(bearer.into())?;
                objects.report_unknown("ConnectivityParameters.sms", &[cat::Tag::ADDRESS]);
                objects.mandatory(cat::Tag::ADDRESS, |address| Address::from_value(address.take_rest()))
            })?,
            https: elements.optional(HTTPS, |bearer| ChannelParameters::parse(bearer.into()))?,
            cat_tp: elements.optional(CAT_TP, |bearer| ChannelParameters::parse(bearer.into()))?,
        };
        elements.finish();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ota::cat::{AccessPoint, Bearer};

    /// The data group from a server's live traffic.
    #[test]
    fn a_service_centre_recorded_in_the_field_decodes() {
        let octets = hex::decode("A0090607913386994211F1").unwrap();
        let found = ConnectivityParameters::parse(&octets).unwrap();
        assert_eq!(found.sms.as_ref().map(ToString::to_string).as_deref(), Some("+33689924111"));
        assert_eq!(found.to_bytes(), octets);
    }

    #[test]
    fn every_bearer_is_encoded_and_decoded() {
        let channel = ChannelParameters {
            bearer: Some(Bearer::default_bearer()),
            access_point: Some(AccessPoint("m2m.example".to_owned())),
            ..ChannelParameters::default()
        };
        let all = ConnectivityParameters {
            sms: "+4912".parse().ok(),
            https: Some(channel.clone()),
            cat_tp: Some(channel),
        };
        assert_eq!(ConnectivityParameters::parse(&all.to_bytes()), Ok(all));
        assert_eq!(ConnectivityParameters::parse(&[]), Ok(ConnectivityParameters::default()));
    }

    #[test]
    fn invalid_parameters_are_refused() {
        for octets in ["A000", "A004060291FF", "A1", "A103B5020300"] {
            assert!(ConnectivityParameters::parse(&hex::decode(octets).unwrap()).is_err(), "{octets}");
        }
    }
}
