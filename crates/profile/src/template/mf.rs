//! Templates of the MF and of DF.CD: TCA profile package, A.2 and A.3.

use super::{Element, Shape};

pub(super) const MF: &[Element] = &[
    Element::new("mf", 0x3F00, Shape::Mf, 14).mandatory(),
    Element::new("ef-pl", 0x2F05, Shape::Transparent(2), 1).sfi(0x05).default("FF...FF"),
    Element::new("ef-iccid", 0x2FE2, Shape::Transparent(10), 11).mandatory().content_required(),
    Element::new("ef-dir", 0x2F00, Shape::LinearFixed { records: 0, length: 0 }, 10)
        .sfi(0x1E)
        .mandatory()
        .content_required(),
    Element::new("ef-arr", 0x2F06, Shape::LinearFixed { records: 0, length: 0 }, 10)
        .mandatory()
        .content_required(),
    Element::new("ef-umpc", 0x2F08, Shape::Transparent(5), 10).sfi(0x08),
];

pub(super) const CD: &[Element] = &[
    Element::new("df-cd", 0x7F11, Shape::Df, 14).mandatory(),
    Element::new("ef-launchpad", 0x6F01, Shape::Transparent(0), 2).content_required(),
    Element::new("ef-icon", 0x6F40, Shape::Transparent(0), 2).content_required(),
];
