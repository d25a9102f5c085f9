//! The charts of the page, drawn by hand: no script, no font, nothing from elsewhere. Colours are the page's variables,
//! so that they follow its light or dark. Every text that comes from outside goes through [`escape`].

use std::fmt::Write as _;

/// Text as HTML and SVG take it, in elements and in attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

const WIDTH: f64 = 900.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
const HEIGHT: f64 = 220.0;
const FOOT: f64 = 26.0;

/// One bar of a column chart: what it is, the part in front, the whole.
pub struct Column {
    /// The day, or the first of several.
    pub label: String,
    /// Recorded.
    pub part: f64,
    /// Calls.
    pub whole: f64,
}

/// Columns, the part of each in front of the whole; neighbours are put together where there are too many.
pub fn columns(all: &[Column], title: &str, show: impl Fn(&Column) -> String) -> String {
    const MOST: usize = 180;
    let at_once = all.len().div_ceil(MOST).max(1);
    let merged: Vec<Column> = all
        .chunks(at_once)
        .map(|chunk| Column {
            label: match chunk {
                [one] => one.label.clone(),
                [first, .., last] => format!("{} – {}", first.label, last.label),
                [] => String::new(),
            },
            part: chunk.iter().map(|column| column.part).sum(),
            whole: chunk.iter().map(|column| column.whole).sum(),
        })
        .collect();
    let most = merged.iter().map(|column| column.whole).fold(0.0, f64::max);
    let mut svg = frame(title, most, &|value| format!("{value:.0}"));
    let step = (WIDTH - LEFT - RIGHT) / merged.len().max(1) as f64;
    let height = |value: f64| if most > 0.0 { HEIGHT * value / most } else { 0.0 };
    let every = merged.len().div_ceil(7).max(1);
    for (index, column) in merged.iter().enumerate() {
        let x = LEFT + index as f64 * step + step * 0.1;
        let width = (step * 0.8).min(60.0);
        let _ = write!(svg, "<g><title>{}</title>", escape(&show(column)));
        for (class, value) in [("whole", column.whole), ("part", column.part)] {
            let (y, h) = (TOP + HEIGHT - height(value), height(value));
            let _ = write!(
                svg,
                r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{h:.1}"/>"#
            );
        }
        svg.push_str("</g>");
        if index % every == 0 {
            let label = column.label.split(' ').next().unwrap_or_default();
            under(&mut svg, x, label, "start");
        }
    }
    svg.push_str("</svg>");
    svg
}

/// A line over days, with the area under it. Points are a label and a value; time runs evenly from the first to the last
/// day number.
pub fn area(points: &[(i64, String, f64)], title: &str, show: impl Fn(f64) -> String) -> String {
    let most = points.iter().map(|(_, _, value)| *value).fold(0.0, f64::max);
    let mut svg = frame(title, most, &show);
    let (Some((first, from, _)), Some((last, until, _))) = (points.first(), points.last()) else {
        svg.push_str("</svg>");
        return svg;
    };
    let span = (last - first).max(1) as f64;
    let x = |day: i64| LEFT + (WIDTH - LEFT - RIGHT) * (day - first) as f64 / span;
    let y = |value: f64| TOP + HEIGHT - if most > 0.0 { HEIGHT * value / most } else { 0.0 };
    // A value holds until the next day that changes it. More points than pixels are of no use.
    let every = points.len().div_ceil(900).max(1);
    let mut path = String::new();
    let mut before = 0.0;
    for (day, _, value) in points.iter().step_by(every).chain(points.last()) {
        let _ = write!(path, "L{:.1} {:.1}L{:.1} {:.1}", x(*day), y(before), x(*day), y(*value));
        before = *value;
    }
    let (start, end, floor) = (x(*first), x(*last), TOP + HEIGHT);
    let _ = write!(svg, r#"<path class="area" d="M{start:.1} {floor:.1}{path}L{end:.1} {floor:.1}Z"/>"#);
    let _ = write!(svg, r#"<path class="line" d="M{start:.1} {floor:.1}{path}"/>"#);
    under(&mut svg, start, from, "start");
    under(&mut svg, end, until, "end");
    svg.push_str("</svg>");
    svg
}

/// One row of a chart of intervals.
pub struct Interval {
    /// Who.
    pub label: String,
    /// Realised, of a hundred.
    pub value: f64,
    /// From where to where it may truly lie.
    pub between: (f64, f64),
    /// Allowed, of a hundred.
    pub allowed: f64,
    /// `over`, `under` or another word.
    pub class: &'static str,
}

/// Realised shares with their intervals, and the allowed one as a stroke across.
pub fn intervals(rows: &[Interval], title: &str) -> String {
    const ROW: f64 = 24.0;
    const NAMES: f64 = 190.0;
    const NUMBERS: f64 = 130.0;
    let most = rows.iter().map(|row| row.between.1.max(row.allowed)).fold(1.0, f64::max);
    let height = ROW * rows.len() as f64 + 24.0;
    let x = |percent: f64| NAMES + (WIDTH - NAMES - NUMBERS) * percent / most;
    let mut svg = open(title, height);
    for (index, row) in rows.iter().enumerate() {
        let y = ROW * index as f64 + ROW / 2.0 + 2.0;
        let tell = format!(
            "{}: {:.1} %, between {:.1} and {:.1} %; allowed {:.1} %",
            row.label, row.value, row.between.0, row.between.1, row.allowed
        );
        let _ = write!(
            svg,
            r#"<g><title>{}</title><text class="name" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            escape(&tell),
            NAMES - 12.0,
            y + 4.0,
            escape(&cut(&row.label, 26)),
        );
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><line class="span" x1="{:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/>"#,
            x(0.0),
            x(most),
            x(row.between.0),
            x(row.between.1),
        );
        let _ = write!(
            svg,
            r#"<line class="allowed" x1="{0:.1}" x2="{0:.1}" y1="{1:.1}" y2="{2:.1}"/><circle class="dot {3}" cx="{4:.1}" cy="{y:.1}" r="5"/>"#,
            x(row.allowed),
            y - 9.0,
            y + 9.0,
            escape(row.class),
            x(row.value),
        );
        let _ = write!(
            svg,
            r#"<text class="number" x="{:.1}" y="{:.1}">{:.1} of {:.1} %</text></g>"#,
            x(most) + 14.0,
            y + 4.0,
            row.value,
            row.allowed,
        );
    }
    let _ = write!(
        svg,
        r#"<text class="tick" x="{:.1}" y="{1:.1}" text-anchor="middle">0</text><text class="tick" x="{2:.1}" y="{1:.1}" text-anchor="middle">{most:.0} %</text></svg>"#,
        x(0.0),
        height - 5.0,
        x(most),
    );
    svg
}

/// Horizontal bars: a name, a count and a class for the colour.
pub fn bars(rows: &[(String, u64, &'static str)], title: &str) -> String {
    const ROW: f64 = 24.0;
    const NAMES: f64 = 190.0;
    const NUMBERS: f64 = 130.0;
    let most = rows.iter().map(|(_, count, _)| *count).max().unwrap_or(0).max(1) as f64;
    let all = rows.iter().map(|(_, count, _)| *count).sum::<u64>().max(1) as f64;
    let mut svg = open(title, ROW * rows.len() as f64 + 6.0);
    for (index, (name, count, class)) in rows.iter().enumerate() {
        let y = ROW * index as f64 + 4.0;
        let width = ((WIDTH - NAMES - NUMBERS) * *count as f64 / most).max(1.0);
        let _ = write!(
            svg,
            r#"<text class="name" x="{:.1}" y="{:.1}" text-anchor="end">{}</text><rect class="{}" x="{NAMES}" y="{y:.1}" width="{width:.1}" height="16" rx="2"/><text class="number" x="{:.1}" y="{:.1}">{count} ({:.1} %)</text>"#,
            NAMES - 12.0,
            y + 12.5,
            escape(&cut(name, 26)),
            escape(class),
            NAMES + width + 8.0,
            y + 12.5,
            *count as f64 * 100.0 / all,
        );
    }
    svg.push_str("</svg>");
    svg
}

fn open(title: &str, height: f64) -> String {
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-label="{}"><title>{0}</title>"#,
        escape(title)
    )
}

/// Grid and scale.
fn frame(title: &str, most: f64, show: &dyn Fn(f64) -> String) -> String {
    let mut svg = open(title, TOP + HEIGHT + FOOT);
    for quarter in 0..=4 {
        let value = most * f64::from(quarter) / 4.0;
        let y = TOP + HEIGHT - HEIGHT * f64::from(quarter) / 4.0;
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            escape(&show(value)),
        );
    }
    svg
}

fn under(svg: &mut String, x: f64, label: &str, anchor: &str) {
    let y = TOP + HEIGHT + 17.0;
    let _ = write!(
        svg,
        r#"<text class="tick" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
        escape(label)
    );
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        assert_eq!(escape("<b>&\"'\u{1b}"), "&lt;b&gt;&amp;&quot;&#39;\u{fffd}");
        let evil = "</title><script>alert(1)</script>";
        let column = Column { label: evil.into(), part: 1.0, whole: 2.0 };
        let row =
            Interval { label: evil.into(), value: 1.0, between: (0.0, 2.0), allowed: 1.0, class: "over" };
        for svg in [
            columns(&[column], evil, |column| column.label.clone()),
            intervals(&[row], evil),
            bars(&[(evil.into(), 3, "part")], evil),
            area(&[(1, evil.into(), 1.0), (5, evil.into(), 0.0)], evil, |_| evil.into()),
        ] {
            assert!(!svg.contains("<script"), "{svg}");
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN"));
        }
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let column = Column { label: "2026-10-05".into(), part: 0.0, whole: 0.0 };
        for svg in [
            columns(&[], "t", |_| String::new()),
            columns(&[column], "t", |_| String::new()),
            area(&[], "t", |_| String::new()),
            area(&[(1, "d".into(), 0.0)], "t", |_| String::new()),
            intervals(&[], "t"),
            bars(&[], "t"),
        ] {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
