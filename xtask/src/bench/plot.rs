//! A line chart as SVG, readable on light and dark pages.

/// What a chart shows.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) across: &'a str,
    pub(crate) points: &'a [(f64, f64)],
    /// A level that the curve is to stay below.
    pub(crate) bound: Option<f64>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 280.0;
/// Room left of, right of, above and below the curve.
const MARGINS: (f64, f64, f64, f64) = (64.0, 24.0, 40.0, 48.0);
/// Lines of the grid.
const STEPS: u32 = 4;

impl Chart<'_> {
    /// The chart; its axes begin at zero.
    pub(crate) fn svg(&self) -> String {
        let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let right = round_up(largest(&mut self.points.iter().map(|point| point.0)));
        let top = round_up(largest(&mut self.points.iter().map(|point| point.1).chain(self.bound)));
        let x = |value: f64| MARGINS.0 + value / right * (WIDTH - MARGINS.0 - MARGINS.1);
        let y = |value: f64| HEIGHT - MARGINS.3 - value / top * (HEIGHT - MARGINS.2 - MARGINS.3);
        let mut parts = vec![
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#888\">"
            ),
            format!("<text x=\"{}\" y=\"20\" font-size=\"14\">{}</text>", MARGINS.0, self.title),
            format!(
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                WIDTH - MARGINS.1,
                HEIGHT - 10.0,
                self.across
            ),
        ];
        for step in 0..=STEPS {
            let share = f64::from(step) / f64::from(STEPS);
            let (at_x, at_y) = (x(right * share), y(top * share));
            parts.push(format!(
                "<path d=\"M{} {at_y:.1}H{}\" stroke=\"#8884\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <text x=\"{at_x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                MARGINS.0,
                WIDTH - MARGINS.1,
                MARGINS.0 - 8.0,
                at_y + 4.0,
                label(top * share),
                HEIGHT - MARGINS.3 + 18.0,
                label(right * share),
            ));
        }
        if let Some(bound) = self.bound {
            let at = y(bound);
            parts.push(format!(
                "<path d=\"M{} {at:.1}H{}\" stroke=\"#d33\" stroke-dasharray=\"6 4\"/>",
                MARGINS.0,
                WIDTH - MARGINS.1
            ));
        }
        let corners: Vec<String> =
            self.points.iter().map(|(across, up)| format!("{:.1},{:.1}", x(*across), y(*up))).collect();
        parts.push(format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#27c\" stroke-width=\"2\"/></svg>\n",
            corners.join(" ")
        ));
        parts.join("\n")
    }
}

/// The next number that divides into four labels: 1, 2, 4 or 8 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 4.0, 8.0, 10.0].map(|factor| factor * power).into_iter().find(|round| *round >= value).unwrap_or(1.0)
}

fn label(value: f64) -> String {
    match value {
        value if value >= 10_000.0 => format!("{}k", value / 1_000.0),
        value => format!("{}", (value * 100.0).round() / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, end) in [(0.7, 0.8), (1.0, 1.0), (130.0, 200.0), (300.0, 400.0), (900_000.0, 1_000_000.0)] {
            assert!((round_up(value) - end).abs() < end * 1e-9, "{value}");
        }
    }

    #[test]
    fn points_and_bound_stand_inside_the_picture() {
        let chart = Chart { title: "t", across: "a", points: &[(0.0, 1.0), (10.0, 4.0)], bound: Some(8.0) };
        let svg = chart.svg();
        assert!(svg.contains("points=\"64.0,208.0 696.0,136.0\""), "{svg}");
        assert!(svg.contains("M64 40.0H696"), "{svg}");
    }
}
