//! TERMINAL PROFILE: TS 102 223 section 5.2.

use serde::{Deserialize, Serialize};

use crate::ota::octets::hex_text;

/// The capabilities of a terminal, as sent to the card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TerminalProfile(#[serde(with = "hex_text")] pub Vec<u8>);

/// One capability of a terminal: its octet, counted from 1, and the bit in that octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TerminalCapability(u8, u8);

impl TerminalCapability {
    /// The terminal sends its profile.
    pub const PROFILE_DOWNLOAD: Self = Self(1, 1);
    /// SMS-PP data download.
    pub const SMS_PP_DOWNLOAD: Self = Self(1, 2);
    /// The terminal reports expired timers.
    pub const TIMER_EXPIRATION: Self = Self(1, 6);
    /// MORE TIME.
    pub const MORE_TIME: Self = Self(3, 4);
    /// POLL INTERVAL.
    pub const POLL_INTERVAL: Self = Self(3, 6);
    /// POLLING OFF.
    pub const POLLING_OFF: Self = Self(3, 7);
    /// REFRESH.
    pub const REFRESH: Self = Self(3, 8);
    /// SEND SHORT MESSAGE with a 3GPP TPDU.
    pub const SEND_SHORT_MESSAGE: Self = Self(4, 2);
    /// PROVIDE LOCAL INFORMATION: location and IMEI.
    pub const LOCATION_AND_IMEI: Self = Self(4, 7);
    /// SET UP EVENT LIST.
    pub const SET_UP_EVENT_LIST: Self = Self(5, 1);
    /// Event: location status.
    pub const EVENT_LOCATION_STATUS: Self = Self(5, 5);
    /// Event: data available.
    pub const EVENT_DATA_AVAILABLE: Self = Self(6, 3);
    /// Event: channel status.
    pub const EVENT_CHANNEL_STATUS: Self = Self(6, 4);
    /// TIMER MANAGEMENT: start and stop.
    pub const TIMER_MANAGEMENT: Self = Self(8, 1);
    /// TIMER MANAGEMENT: time left.
    pub const TIMER_TIME_LEFT: Self = Self(8, 2);
    /// OPEN CHANNEL.
    pub const OPEN_CHANNEL: Self = Self(12, 1);
    /// CLOSE CHANNEL.
    pub const CLOSE_CHANNEL: Self = Self(12, 2);
    /// RECEIVE DATA.
    pub const RECEIVE_DATA: Self = Self(12, 3);
    /// SEND DATA.
    pub const SEND_DATA: Self = Self(12, 4);
    /// GET CHANNEL STATUS.
    pub const GET_CHANNEL_STATUS: Self = Self(12, 5);
    /// Packet data as a bearer.
    pub const BEARER_PACKET: Self = Self(13, 2);
    /// TCP with the card as client, to a remote host.
    pub const TCP_CLIENT: Self = Self(17, 1);
    /// UDP with the card as client, to a remote host.
    pub const UDP_CLIENT: Self = Self(17, 2);
    /// REFRESH: eUICC Profile State Change.
    pub const REFRESH_PROFILE_STATE_CHANGE: Self = Self(34, 6);
}

/// The position of the number of channels: octet 13, b6 to b8.
const CHANNELS: (usize, u32) = (12, 5);

impl TerminalProfile {
    /// Creates the profile of a terminal with these capabilities and number of channels (at most
    /// 7).
    pub fn of(facilities: &[TerminalCapability], channels: u8) -> Self {
        let mut octets = Vec::new();
        let mut set = |at: usize, bits: u8| {
            if octets.len() <= at {
                octets.resize(at + 1, 0);
            }
            if let Some(octet) = octets.get_mut(at) {
                *octet |= bits;
            }
        };
        for TerminalCapability(octet, bit) in facilities {
            set(usize::from(octet.saturating_sub(1)), 1 << bit.saturating_sub(1));
        }
        if channels > 0 {
            set(CHANNELS.0, channels.min(7) << CHANNELS.1);
        }
        Self(octets)
    }

    /// True if the terminal supports this capability. Capabilities beyond the end of the profile
    /// are not supported.
    pub fn can(&self, TerminalCapability(octet, bit): TerminalCapability) -> bool {
        self.0
            .get(usize::from(octet.saturating_sub(1)))
            .is_some_and(|octet| octet >> bit.saturating_sub(1) & 1 == 1)
    }

    /// Returns the number of channels.
    pub fn channels(&self) -> u8 {
        self.0.get(CHANNELS.0).map_or(0, |octet| octet >> CHANNELS.1)
    }
}
