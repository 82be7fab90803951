//! INCREASE: TS 102 221 section 11.1.8.

use profile::FileKind;

use super::access::{self, Operation};
use super::{addressed, kind_of, record, set_current_ef, sfi_in};
use crate::StatusWord;
use crate::apdu::Command;
use crate::context::Context;
use crate::state::channel::CurrentEf;

/// The longest value that can be added, in octets.
const MAX_VALUE: usize = 127;

/// INCREASE: adds the value to the newest record of a cyclic EF and writes the sum as the new
/// newest record. Returns the sum and the added value.
pub(super) fn increase(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if command.p2 != 0 {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    let current = addressed(context, sfi_in(command.p1)?)?;
    if !matches!(kind_of(context, current.file)?, FileKind::Cyclic { .. }) {
        return Err(StatusWord::COMMAND_INCOMPATIBLE_WITH_FILE_STRUCTURE);
    }
    let (length, _) = record::shape(context, current.file)?;
    if command.data.is_empty() || command.data.len() > length.min(MAX_VALUE) {
        return Err(StatusWord::WRONG_LENGTH);
    }
    access::check(context, command, current.file, Operation::Increase)?;
    let newest = context.profile()?.files.record(current.file, 1).ok_or(StatusWord::RECORD_NOT_FOUND)?;
    let sum = sum(newest, command.data).ok_or(StatusWord::MAX_VALUE_REACHED)?;
    record::write_newest(context, current.file, &sum)?;
    set_current_ef(context, CurrentEf { record: 1, ..current });
    Ok([sum.as_slice(), command.data].concat())
}

/// Adds two big-endian numbers; `None` if the sum does not fit into a record.
fn sum(record: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let mut sum = record.to_vec();
    let mut carry = 0u16;
    for (place, octet) in sum.iter_mut().rev().enumerate() {
        let added = value.iter().rev().nth(place).copied().unwrap_or(0);
        let [high, low] =
            (u16::from(*octet).saturating_add(u16::from(added)).saturating_add(carry)).to_be_bytes();
        (*octet, carry) = (low, u16::from(high));
    }
    (carry == 0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_carry_and_must_not_overflow() {
        assert_eq!(sum(&[0, 0, 5], &[7]), Some(vec![0, 0, 12]));
        assert_eq!(sum(&[0, 0xFF, 0xFF], &[0, 1]), Some(vec![1, 0, 0]));
        assert_eq!(sum(&[0xFF, 0xFF, 0xFF], &[1]), None);
        assert_eq!(sum(&[0xFF, 0xFF, 0xFE], &[0, 0, 1]), Some(vec![0xFF; 3]));
    }
}
