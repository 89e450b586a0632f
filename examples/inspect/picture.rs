//! The first images on one sheet, each with what the features see of it.

use pixelfeat::ImageShape;

use super::canvas::{Canvas, TEXT};
use super::panels::{GAP, Panel, View, panels};
use super::values::ListBlock;

const LABEL: [u8; 3] = [255, 196, 87];

/// Panels in a line of the sheet, and lines.
const IN_LINE: usize = 8;
const LINES: usize = 5;
/// The longer side of an image on the sheet, about, and what lies around it.
const SIDE: usize = 112;
const MARGIN: usize = 14;
const HEAD: usize = 14;

/// An image as it is drawn.
struct Drawn {
    row: u64,
    values: Vec<f64>,
    features: Vec<f32>,
    label: Option<u64>,
}

/// The sheet, which takes images of one shape until it is full.
#[derive(Default)]
pub struct Sheet {
    shape: Option<ImageShape>,
    panels: Vec<Panel>,
    drawn: Vec<Drawn>,
}

impl Sheet {
    /// How many more images it takes. Of features that have more panels, it takes fewer.
    pub fn room(&self) -> usize {
        LINES * self.in_line() - self.drawn.len()
    }

    fn in_line(&self) -> usize {
        (IN_LINE / self.panels.len().max(1)).max(1)
    }

    /// How many it has.
    pub fn images(&self) -> usize {
        self.drawn.len()
    }

    /// What the images and the values of their features are. Comes before any image.
    pub fn begin(&mut self, shape: ImageShape, blocks: &[ListBlock]) {
        self.shape = Some(shape);
        self.panels = panels(shape, blocks);
    }

    /// Takes the image of a row: its values, its features, and its label if that is a number.
    pub fn add(&mut self, row: u64, values: Vec<f64>, features: Vec<f32>, label: Option<u64>) {
        self.drawn.push(Drawn { row, values, features, label });
    }

    /// The sheet as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, String> {
        let shape = self.shape.filter(|_| !self.drawn.is_empty()).ok_or("there is no image to draw")?;
        let (high, wide) = size(shape);
        let below = self.panels.iter().map(|panel| panel.around()).max().unwrap_or(0);
        let width: usize = self.panels.iter().map(|panel| wide + panel.around()).sum();
        let between = (self.panels.len().max(1) - 1) * 2 * GAP;
        let cell = (HEAD + high + below + MARGIN, width + between + MARGIN);
        let lines = self.drawn.len().div_ceil(self.in_line());
        let across = self.drawn.len().min(self.in_line());
        let mut canvas = Canvas::new(lines * cell.0 + MARGIN, across * cell.1 + MARGIN);
        let values = || self.drawn.iter().flat_map(|drawn| &drawn.values);
        // Black is 0, or the lowest value where there are lower ones; white the highest.
        let low = values().fold(0.0, |low: f64, &value| low.min(value));
        let highest = values().fold(low, |high: f64, &value| high.max(value));
        for (at, drawn) in self.drawn.iter().enumerate() {
            let (top, mut left) = (MARGIN + at / self.in_line() * cell.0, MARGIN + at % self.in_line() * cell.1);
            let after = canvas.number(drawn.row, (top, left), TEXT);
            if let Some(label) = drawn.label {
                canvas.number(label, (top, after + 6), LABEL);
            }
            let view = View { shape, range: (low, highest), values: &drawn.values, features: &drawn.features };
            for panel in &self.panels {
                panel.draw(&view, (top + HEAD, left), (high, wide), &mut canvas);
                left += wide + panel.around() + 2 * GAP;
            }
        }
        canvas.png()
    }
}

/// Height and width of an image on the sheet: small ones grow by a whole factor, large ones shrink.
fn size(shape: ImageShape) -> (usize, usize) {
    let (height, width) = (shape.height(), shape.width());
    let longer = height.max(width);
    if longer <= SIDE {
        let factor = (SIDE + longer / 2) / longer;
        return (height * factor, width * factor);
    }
    let most = 2 * SIDE;
    let shrunk = |side: usize| if longer <= most { side } else { (side * most / longer).max(1) };
    (shrunk(height), shrunk(width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_without_images_is_an_error() {
        assert!(Sheet::default().png().is_err());
    }
}
