//! ENVELOPE: TS 102 223 section 7, TS 31.111 section 7. The terminal encodes, the card decodes.

use serde::{Deserialize, Serialize};

use super::objects::{ChannelStatus, Device, Event, LocationInformation, LocationStatus, TimerValue};
use super::proactive::timer_identifier;
use super::tlv::{Elements, Required, Tag, write};
use crate::der::{DecodeError, Problem, write_tlv};
use crate::ota::octets::{Octets, hex_text};
use crate::ota::sms::Address;

const SMS_PP_DOWNLOAD: crate::der::Tag = crate::der::Tag(0xD1);
const EVENT_DOWNLOAD: crate::der::Tag = crate::der::Tag(0xD6);
const TIMER_EXPIRATION: crate::der::Tag = crate::der::Tag(0xD7);

/// A message from the terminal to the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Envelope {
    /// A short message for the card.
    SmsPpDownload {
        /// The service centre that delivered the message.
        service_centre: Option<Address>,
        /// SMS-DELIVER.
        #[serde(with = "hex_text")]
        tpdu: Vec<u8>,
    },
    /// An event from the event list of the card.
    EventDownload(EventDownload),
    /// A timer has expired.
    TimerExpiration {
        /// The timer, 1 to 8.
        timer: u8,
        /// The elapsed time.
        value: TimerValue,
    },
}

/// An event from the event list of the card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventDownload {
    /// Location status, section 7.5.4.
    LocationStatus {
        /// The service status.
        status: LocationStatus,
        /// The location; present only in normal service.
        location: Option<LocationInformation>,
    },
    /// Data available, section 7.5.10.
    DataAvailable {
        /// The channel.
        status: ChannelStatus,
        /// The number of available octets; FF for 255 and more.
        length: u8,
    },
    /// Channel status, section 7.5.11.
    ChannelStatus(ChannelStatus),
    /// Another event, without its contents.
    Other(Event),
}

impl Envelope {
    /// Encodes the data of ENVELOPE.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut contents = Vec::new();
        let mut out = Vec::new();
        match self {
            Self::SmsPpDownload { service_centre, tpdu } => {
                Device::write_pair(Device::Network, Device::Uicc, &mut contents);
                if let Some(address) = service_centre {
                    write(Tag::ADDRESS, Required::No, &address.value(), &mut contents);
                }
                write(Tag::SMS_TPDU, Required::Yes, tpdu, &mut contents);
                write_tlv(SMS_PP_DOWNLOAD, &contents, &mut out);
            }
            Self::EventDownload(event) => {
                event.write(&mut contents);
                write_tlv(EVENT_DOWNLOAD, &contents, &mut out);
            }
            Self::TimerExpiration { timer, value } => {
                Device::write_pair(Device::Terminal, Device::Uicc, &mut contents);
                write(Tag::TIMER_IDENTIFIER, Required::Yes, &[*timer], &mut contents);
                write(Tag::TIMER_VALUE, Required::Yes, &value.to_bytes(), &mut contents);
                write_tlv(TIMER_EXPIRATION, &contents, &mut out);
            }
        }
        out
    }

    /// Decodes the data of ENVELOPE. Returns `None` for an envelope type that the card does not
    /// use.
    ///
    /// # Errors
    /// The octets are not an envelope, or the envelope is malformed.
    pub fn parse(octets: &[u8]) -> Result<Option<Self>, DecodeError> {
        let mut reader = crate::der::Reader::new(octets);
        let start = reader.clone();
        let (tag, contents) = reader.tlv()?;
        reader.report_trailing();
        if !(0xD1..=0xDF).contains(&tag.0) {
            return Err(start.error(Problem::NoSuchAlternative { found: tag }));
        }
        let offset = reader.offset().saturating_sub(contents.len());
        let elements = Elements::parse(Octets::at(contents, offset))?;
        match tag {
            SMS_PP_DOWNLOAD => {
                let known = [Tag::DEVICE_IDENTITIES, Tag::ADDRESS, Tag::SMS_TPDU];
                elements.report_unknown("SMS-PP download", &known);
                Ok(Some(Self::SmsPpDownload {
                    service_centre: elements
                        .optional(Tag::ADDRESS, |reader| Address::from_value(reader.take_rest()))?,
                    tpdu: elements.mandatory(Tag::SMS_TPDU, |reader| Ok(reader.take_rest().to_vec()))?,
                }))
            }
            EVENT_DOWNLOAD => EventDownload::find(&elements).map(Self::EventDownload).map(Some),
            TIMER_EXPIRATION => Ok(Some(Self::TimerExpiration {
                timer: elements.mandatory(Tag::TIMER_IDENTIFIER, timer_identifier)?,
                value: elements.mandatory(Tag::TIMER_VALUE, TimerValue::read)?,
            })),
            _ => Ok(None),
        }
    }
}

impl EventDownload {
    /// Returns the event.
    pub const fn event(&self) -> Event {
        match self {
            Self::LocationStatus { .. } => Event::LOCATION_STATUS,
            Self::DataAvailable { .. } => Event::DATA_AVAILABLE,
            Self::ChannelStatus(_) => Event::CHANNEL_STATUS,
            Self::Other(event) => *event,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        write(Tag::EVENT_LIST, Required::Yes, &[self.event().0], out);
        Device::write_pair(Device::Terminal, Device::Uicc, out);
        match self {
            Self::LocationStatus { status, location } => {
                write(Tag::LOCATION_STATUS, Required::Yes, &[status.code()], out);
                if let Some(location) = location {
                    location.write(out);
                }
            }
            Self::DataAvailable { status, length } => {
                status.write(out);
                write(Tag::CHANNEL_DATA_LENGTH, Required::Yes, &[*length], out);
            }
            Self::ChannelStatus(status) => status.write(out),
            Self::Other(_) => {}
        }
    }

    fn find(elements: &Elements<'_>) -> Result<Self, DecodeError> {
        let event = Event(elements.mandatory(Tag::EVENT_LIST, Octets::octet)?);
        let status = || elements.mandatory(Tag::CHANNEL_STATUS, ChannelStatus::read);
        Ok(match event {
            Event::LOCATION_STATUS => Self::LocationStatus {
                status: elements.mandatory(Tag::LOCATION_STATUS, LocationStatus::read)?,
                location: elements.optional(Tag::LOCATION_INFORMATION, LocationInformation::read)?,
            },
            Event::DATA_AVAILABLE => Self::DataAvailable {
                status: status()?,
                length: elements.mandatory(Tag::CHANNEL_DATA_LENGTH, Octets::octet)?,
            },
            Event::CHANNEL_STATUS => Self::ChannelStatus(status()?),
            other => Self::Other(other),
        })
    }
}
