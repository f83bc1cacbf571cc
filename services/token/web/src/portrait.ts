/** The drawn face: what a pose looks like, as filled and stroked paths. No DOM: canvas and SVG draw it. */

export const SIZE = 600;

/** Everything that moves. Neutral is all zeros but `smile`; distances in parts of one. */
export interface Pose {
  readonly jawOpen: number;
  readonly mouthWide: number;
  readonly smile: number;
  /** 0 open, 1 shut. */
  readonly blink: number;
  readonly gazeX: number;
  readonly gazeY: number;
  readonly brows: number;
  /** Head: turn and nod shift the features over the head, tilt turns it. */
  readonly turn: number;
  readonly nod: number;
  readonly tilt: number;
  readonly breath: number;
}

export const NEUTRAL: Pose = {
  jawOpen: 0, mouthWide: 0, smile: 0.7, blink: 0.06, gazeX: 0, gazeY: 0,
  brows: 0.1, turn: 0, nod: 0, tilt: 0, breath: 0,
};

export type Layer = "body" | "behind" | "head" | "features" | "front";
/** A plain colour, or a gradient along x1 y1 x2 y2 between two. */
export type Paint = string | readonly [number, number, number, number, string, string];

export interface Shape {
  readonly layer: Layer;
  readonly d: string;
  readonly fill?: Paint;
  readonly stroke?: string;
  readonly width?: number;
  readonly alpha?: number;
  /** Drawn only inside this path: the iris inside the eye. */
  readonly clip?: string;
}

const SKIN = "#f0bd98";
const SKIN_SHADE = "#dd9a76";
const SKIN_DEEP = "#b9704f";
const BLUSH = "#e5805f";
const LIP = "#c4665a";
const LIP_LIGHT = "#d57f70";
const HAIR = "#5a3a2e";
const HAIR_DEEP = "#3b2620";
const HAIR_LIGHT = "#7d5340";
const CLOTH = "#4d5560";
const CLOTH_DEEP = "#39404a";

/** Where each layer stands for a pose: shift x, shift y, turn in radians about the neck. */
export function placement(layer: Layer, pose: Pose): readonly [number, number, number] {
  const lift = -pose.breath * 3;
  switch (layer) {
    case "body":
      return [0, lift, 0];
    case "behind":
      return [-pose.turn * 7, lift + pose.nod * 2, pose.tilt * 0.9];
    case "head":
      return [pose.turn * 3, lift + pose.nod * 5, pose.tilt];
    case "front":
      return [pose.turn * 6, lift + pose.nod * 6, pose.tilt];
    case "features":
      return [pose.turn * 14, lift + pose.nod * 12, pose.tilt];
  }
}

/** Back to front. */
export function portrait(pose: Pose): Shape[] {
  const drop = pose.jawOpen * 13;
  return [
    ...behind(),
    ...body(),
    ...head(drop),
    ...cheeksAndNose(drop),
    ...eye(-1, pose),
    ...eye(1, pose),
    ...mouth(pose),
    ...hairInFront(),
  ];
}

function behind(): Shape[] {
  return [
    {
      layer: "behind",
      d: "M300 78C194 74 148 152 150 250C151 330 134 388 142 448C150 500 208 520 300 520C392 520 450 500 458 448C466 388 449 330 450 250C452 152 406 74 300 78Z",
      fill: [160, 100, 440, 500, HAIR, HAIR_DEEP],
    },
    {
      layer: "behind",
      d: "M170 300C166 370 158 410 164 452M430 300C434 370 442 410 436 452",
      stroke: HAIR_LIGHT, width: 5, alpha: 0.35,
    },
  ];
}

function body(): Shape[] {
  return [
    {
      layer: "body",
      d: "M252 400L252 486C252 520 300 548 300 548C300 548 348 520 348 486L348 400Z",
      fill: [300, 400, 300, 540, "#d08d69", SKIN_SHADE],
    },
    {
      layer: "body",
      d: "M258 452C278 478 322 478 342 452L342 424L258 424Z",
      fill: SKIN_DEEP, alpha: 0.35,
    },
    {
      layer: "body",
      d: "M40 640C48 556 104 528 176 512C212 504 238 494 250 478C262 512 286 524 300 524C314 524 338 512 350 478C362 494 388 504 424 512C496 528 552 556 560 640Z",
      fill: [120, 500, 480, 640, CLOTH, CLOTH_DEEP],
    },
    {
      layer: "body",
      d: "M246 476C256 518 284 534 300 534C316 534 344 518 354 476",
      stroke: "#626b77", width: 9,
    },
    {
      layer: "body",
      d: "M150 640C152 606 150 586 144 566M450 640C448 606 450 586 456 566",
      stroke: "#2c323a", width: 4, alpha: 0.55,
    },
  ];
}

function head(drop: number): Shape[] {
  const chin = 446 + drop;
  return [
    { layer: "head", d: ear(186), fill: SKIN_SHADE },
    { layer: "head", d: ear(414), fill: SKIN_SHADE },
    {
      layer: "head",
      d: `M300 122C220 122 184 182 186 262C188 322 202 370 232 ${406 + drop * 0.7}C254 ${chin - 14} 276 ${chin} 300 ${chin}C324 ${chin} 346 ${chin - 14} 368 ${406 + drop * 0.7}C398 370 412 322 414 262C416 182 380 122 300 122Z`,
      fill: [220, 160, 400, 440, "#f6c9a6", SKIN],
    },
    {
      layer: "head",
      d: `M414 262C412 322 398 370 368 ${406 + drop * 0.7}C346 ${chin - 14} 324 ${chin} 300 ${chin}C336 ${chin - 26} 372 380 382 300C388 250 386 200 378 160C404 186 415 222 414 262Z`,
      fill: SKIN_SHADE, alpha: 0.38,
    },
  ];
}

function ear(x: number): string {
  return `M${x} 262C${x - 18} 254 ${x - 18} 316 ${x} 322C${x + 18} 316 ${x + 18} 254 ${x} 262Z`;
}

function ellipse(x: number, y: number, rx: number, ry: number): string {
  return `M${x - rx} ${y}A${rx} ${ry} 0 1 0 ${x + rx} ${y}A${rx} ${ry} 0 1 0 ${x - rx} ${y}Z`;
}

function cheeksAndNose(drop: number): Shape[] {
  // Stacked transparent ellipses make a soft edge without a filter.
  const blush = [36, 29, 22, 15].flatMap((r): Shape[] => [
    { layer: "features", d: ellipse(234, 338 + drop * 0.3, r, r * 0.62), fill: BLUSH, alpha: 0.06 },
    { layer: "features", d: ellipse(366, 338 + drop * 0.3, r, r * 0.62), fill: BLUSH, alpha: 0.06 },
  ]);
  return [
    ...blush,
    {
      layer: "features",
      d: "M305 268C309 296 318 318 321 332C322 343 312 348 301 348C316 340 306 300 305 268Z",
      fill: SKIN_SHADE, alpha: 0.62,
    },
    { layer: "features", d: "M284 341C290 351 310 352 317 341", stroke: SKIN_DEEP, width: 3.2, alpha: 0.75 },
    { layer: "features", d: "M297 274C296 296 295 312 296 328", stroke: "#ffe4cd", width: 5, alpha: 0.4 },
  ];
}

function eye(side: -1 | 1, pose: Pose): Shape[] {
  const x = 300 + side * 54;
  const y = 272;
  const open = 1 - pose.blink;
  const up = 19 * open;
  // A smile lifts the lower lid.
  const low = (10.5 - pose.smile * 2.5) * open;
  const inner = x - side * 26;
  const outer = x + side * 27;
  const lid = `C${x - side * 14} ${y - up * 1.3} ${x + side * 15} ${y - up * 1.35} ${outer} ${y - 3 * open}`;
  const outline = `M${inner} ${y + 3}${lid}C${x + side * 16} ${y + low * 1.25} ${x - side * 14} ${y + low * 1.3} ${inner} ${y + 3}Z`;
  const iris = [x + pose.gazeX * 8, y - 2 + pose.gazeY * 5] as const;
  const raise = y - 35 - pose.brows * 9 - pose.blink * -2;
  return [
    { layer: "features", d: outline, fill: "#fbf5ef" },
    { layer: "features", d: ellipse(iris[0], iris[1], 14.5, 14.5), fill: "#6d4a32", clip: outline },
    { layer: "features", d: ellipse(iris[0], iris[1] + 4, 9, 8), fill: "#96683f", alpha: 0.7, clip: outline },
    { layer: "features", d: ellipse(iris[0], iris[1], 6.4, 6.4), fill: "#20140f", clip: outline },
    { layer: "features", d: ellipse(iris[0] + 5, iris[1] - 5, 3.6, 3.6), fill: "#fff", alpha: 0.95, clip: outline },
    { layer: "features", d: `M${inner} ${y + 3}${lid}`, stroke: "#3a221b", width: 5.2 },
    {
      layer: "features",
      d: `M${outer - side * 9} ${y - 10 * open}Q${outer} ${y - 5 * open} ${outer + side * 5} ${y - 7 * open}Q${outer - side * 2} ${y} ${outer - side * 9} ${y - 10 * open}Z`,
      fill: "#3a221b", stroke: "#3a221b", width: 2,
    },
    {
      layer: "features",
      d: `M${inner + side * 3} ${y - 13}C${x - side * 10} ${y - 27} ${x + side * 12} ${y - 28} ${outer} ${y - 15}`,
      stroke: SKIN_DEEP, width: 2.4, alpha: 0.55,
    },
    {
      layer: "features",
      d: `M${inner - side * 2} ${raise + 4}C${x - side * 12} ${raise - 9} ${x + side * 14} ${raise - 12} ${outer + side * 7} ${raise + 6}C${x + side * 14} ${raise - 4} ${x - side * 10} ${raise} ${inner - side * 2} ${raise + 4}Z`,
      fill: HAIR_DEEP, stroke: HAIR_DEEP, width: 3,
    },
  ];
}

function mouth(pose: Pose): Shape[] {
  const half = 40 + pose.mouthWide * 12 - pose.jawOpen * 7 + pose.smile * 6;
  const open = pose.jawOpen * 34;
  const y = 389;
  const corner = y - pose.smile * 10 + open * 0.25;
  const left = 300 - half;
  const right = 300 + half;
  const top = y - open * 0.12 + 2;
  const floor = y + open * 0.9 + 3;
  const inside = `M${left + 4} ${corner}Q300 ${top * 2 - corner} ${right - 4} ${corner}Q300 ${floor * 2 - corner} ${left + 4} ${corner}Z`;
  const lower = floor + 15 - pose.jawOpen * 2;
  const shapes: Shape[] = [
    {
      layer: "features",
      d: `M${left} ${corner}C${300 - half * 0.55} ${lower + 1} ${300 + half * 0.55} ${lower + 1} ${right} ${corner}Q300 ${floor * 2 - corner} ${left} ${corner}Z`,
      fill: [300, floor, 300, lower, LIP_LIGHT, LIP],
    },
    { layer: "features", d: inside, fill: "#5b221f" },
  ];
  if (open > 4) {
    shapes.push(
      { layer: "features", d: ellipse(300, floor + 2, half * 0.5, open * 0.34), fill: "#c8605a", clip: inside },
      { layer: "features", d: `M${left} ${top - 12}H${right}V${top + Math.min(9, open * 0.42)}Q300 ${top + Math.min(14, open * 0.6)} ${left} ${top + Math.min(9, open * 0.42)}Z`, fill: "#fdf6ef", clip: inside },
    );
  }
  shapes.push(
    {
      layer: "features",
      d: `M${left} ${corner}C${300 - half * 0.6} ${top - 9} 290 ${top - 15} 290 ${top - 14}Q300 ${top - 9} 310 ${top - 14}C310 ${top - 15} ${300 + half * 0.6} ${top - 9} ${right} ${corner}Q300 ${top * 2 - corner} ${left} ${corner}Z`,
      fill: LIP,
    },
    { layer: "features", d: `M${left - 4} ${corner - 3}Q${left + 1} ${corner + 1} ${left + 6} ${corner + 1}M${right + 4} ${corner - 3}Q${right - 1} ${corner + 1} ${right - 6} ${corner + 1}`, stroke: "#9c4a3f", width: 2.6, alpha: 0.7 },
    { layer: "features", d: `M284 ${lower + 12}Q300 ${lower + 17} 316 ${lower + 12}`, stroke: SKIN_DEEP, width: 3, alpha: 0.35 },
  );
  return shapes;
}

function hairInFront(): Shape[] {
  return [
    {
      layer: "front",
      d: "M262 112C196 112 160 170 160 250C159 300 160 350 170 392C184 372 186 330 188 296C190 250 206 214 240 190C262 174 276 156 284 134Z",
      fill: [180, 120, 220, 380, HAIR, HAIR_DEEP],
    },
    {
      layer: "front",
      d: "M252 118C300 88 392 98 422 168C440 214 442 300 440 392C424 372 416 330 413 288C411 246 398 214 366 194C330 172 288 168 252 118Z",
      fill: [270, 100, 440, 360, HAIR_LIGHT, HAIR_DEEP],
    },
    { layer: "front", d: "M282 128C322 158 372 160 404 206", stroke: "#9b6c53", width: 4, alpha: 0.5 },
    { layer: "front", d: "M272 118C330 128 386 140 416 188", stroke: "#9b6c53", width: 3, alpha: 0.35 },
    { layer: "front", d: "M244 134C208 156 182 196 176 256", stroke: "#9b6c53", width: 4, alpha: 0.35 },
  ];
}

const SVG_LAYER = (pose: Pose) => (shape: Shape, index: number): string => {
  const [x, y, turn] = placement(shape.layer, pose);
  const at = `transform="translate(${x} ${y}) rotate(${(turn * 180) / Math.PI} 300 470)"`;
  const clip = shape.clip ? `<clipPath id="c${index}"><path d="${shape.clip}"/></clipPath>` : "";
  const gradient = Array.isArray(shape.fill) ? svgGradient(shape.fill as unknown as Paint, index) : "";
  const fill = gradient ? `url(#g${index})` : ((shape.fill as string | undefined) ?? "none");
  const stroke = shape.stroke
    ? ` stroke="${shape.stroke}" stroke-width="${shape.width}" stroke-linecap="round" stroke-linejoin="round"`
    : "";
  const inside = shape.clip ? ` clip-path="url(#c${index})"` : "";
  const path = `<path d="${shape.d}" fill="${fill}"${stroke}${inside} opacity="${shape.alpha ?? 1}"/>`;
  return `<g ${at}>${clip}${gradient}${path}</g>`;
};

function svgGradient(paint: Paint, index: number): string {
  const [x1, y1, x2, y2, from, to] = paint as Exclude<Paint, string>;
  const stops = `<stop stop-color="${from}"/><stop offset="1" stop-color="${to}"/>`;
  return `<linearGradient id="g${index}" gradientUnits="userSpaceOnUse" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}">${stops}</linearGradient>`;
}

/** The still portrait, as a file. */
export function portraitSvg(pose: Pose = NEUTRAL): string {
  const shapes = portrait(pose).map(SVG_LAYER(pose)).join("");
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE} ${SIZE}">${shapes}</svg>`;
}
