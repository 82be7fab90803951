//! Templates of the MF and of DF.CD: TCA profile package, A.2 and A.3.

use super::{Element, Shape, directory, linear_fixed, transparent};

pub(super) const MF: &[Element] = &[
    directory("mf", 0x3F00, Shape::Mf).mandatory(),
    transparent("ef-pl", 0x2F05, 2, 1).sfi(0x05).default("FF...FF"),
    transparent("ef-iccid", 0x2FE2, 10, 11).mandatory().content_required(),
    linear_fixed("ef-dir", 0x2F00, 0, 0, 10).sfi(0x1E).mandatory().content_required(),
    linear_fixed("ef-arr", 0x2F06, 0, 0, 10).mandatory().content_required(),
    transparent("ef-umpc", 0x2F08, 5, 10).sfi(0x08),
];

pub(super) const CD: &[Element] = &[
    directory("df-cd", 0x7F11, Shape::Df).mandatory(),
    transparent("ef-launchpad", 0x6F01, 0, 2).content_required(),
    transparent("ef-icon", 0x6F40, 0, 2).content_required(),
];
