//! Secured packets (SCP80) in recorded short messages, for a test that alters their contents.

use crypto::scp80::{self, Head, Keys, Opened, Protection};
use rsp::ota::sms::{MAX_USER_DATA, PacketKind, UserData};

/// A secured packet in one short message, opened.
#[derive(Clone, Debug)]
pub struct SecuredPacket {
    /// Command or response.
    pub kind: PacketKind,
    /// The clear fields: SPI, KIc, KID and TAR in a command. A response has only the TAR, which is in
    /// the first three octets.
    pub clear: [u8; 7],
    /// The contents.
    pub opened: Opened,
    user_data: UserData,
}

impl SecuredPacket {
    /// Opens the packet in the user data of a short message. Returns `None` for a part of a longer
    /// packet, and for user data that are not a packet with these keys.
    pub fn open(user_data: &[u8], keys: &Keys) -> Option<Self> {
        let user_data = UserData::parse(user_data, true).ok()?;
        let ([element], octets) = (user_data.header.as_slice(), &user_data.octets) else { return None };
        let kinds = [PacketKind::Command, PacketKind::Response];
        let kind = kinds.into_iter().find(|kind| kind.identifier() == element.identifier)?;
        let mut clear = [0; 7];
        let length = match kind {
            PacketKind::Command => 7,
            PacketKind::Response => 3,
        };
        clear.get_mut(..length)?.copy_from_slice(octets.get(3..3 + length)?);
        let opened = scp80::open(head(kind, &clear), octets, Protection::FULL, keys).ok()?;
        Some(Self { kind, clear, opened, user_data })
    }

    /// Protects the packet again. Returns the user data, or `None` if they do not fit into one short
    /// message.
    pub fn seal(self, keys: &Keys) -> Option<Vec<u8>> {
        let octets = scp80::seal(head(self.kind, &self.clear), &self.opened, Protection::FULL, keys);
        let user_data = UserData { octets, ..self.user_data }.to_bytes();
        (user_data.len() <= MAX_USER_DATA).then_some(user_data)
    }
}

fn head(kind: PacketKind, clear: &[u8; 7]) -> Head<'_> {
    const HEADER: [u8; 3] = PacketKind::Response.header();
    match (kind, clear.first_chunk()) {
        (PacketKind::Response, Some(tar)) => Head::Response(tar, &HEADER),
        _ => Head::Command(clear),
    }
}
