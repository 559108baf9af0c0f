// Typed bindings for one model: a TypeScript module whose `load` gives sessions with exactly this model's entries, their
// argument names, element types and axes. Made with ts-morph from structures, so names from files are printed as quoted and
// escaped text and can never become code.
import { IndentationText, Project, QuoteKind } from 'ts-morph'
import type { EntryManifest, Manifest } from '../../runtime/artifact/manifest.ts'
import type { AffineJson } from '../../runtime/artifact/manifest.ts'

/** Source text of the module; it imports types and `load` from 'llamac/runtime'. */
export function emitTypes(manifest: Manifest): string {
  const project = new Project({
    useInMemoryFileSystem: true,
    manipulationSettings: { indentationText: IndentationText.TwoSpaces, quoteKind: QuoteKind.Single },
  })
  const file = project.createSourceFile('bindings.ts', undefined, { overwrite: true })
  file.addImportDeclaration({ moduleSpecifier: 'llamac/runtime', namedImports: ['load as loadModel'] })
  file.addImportDeclaration({
    isTypeOnly: true,
    moduleSpecifier: 'llamac/runtime',
    namedImports: ['ArtifactSource', 'Model', 'ModelOptions', 'NestedNumbers', 'Session', 'TensorResult'],
  })
  file.addInterface({
    isExported: true,
    name: 'Entries',
    docs: [comment(`Entries of ${manifest.model}${manifest.preset ? ` ${manifest.preset}` : ''}.`)],
    methods: manifest.entries.map((entry) => ({
      name: propertyName(entry.name),
      docs: [comment(documentation(entry))],
      parameters: [
        { name: 'args', type: argumentsType(entry), hasQuestionToken: entry.arguments.every((a) => optionalArgument(entry, a)) },
        { name: 'options', type: '{ signal?: AbortSignal }', hasQuestionToken: true },
      ],
      returnType: `Promise<${resultType(entry)}>`,
    })),
  })
  file.addTypeAlias({ isExported: true, name: 'TypedSession', type: 'Session<Entries>' })
  file.addTypeAlias({ isExported: true, name: 'TypedModel', type: 'Model<Entries>' })
  file.addFunction({
    isExported: true,
    name: 'load',
    docs: [comment(`Loads an artifact of ${manifest.model}; see load of llamac/runtime.`)],
    parameters: [
      { name: 'source', type: 'ArtifactSource' },
      { name: 'options', type: 'ModelOptions', hasQuestionToken: true },
    ],
    returnType: 'Promise<TypedModel>',
    statements: ['return loadModel<Entries>(source, options)'],
  })
  file.formatText({ indentSize: 2 })
  return file.getFullText()
}

type Argument = EntryManifest['arguments'][number]

/** `start` is the session's position when left out. */
const optionalArgument = (entry: EntryManifest, argument: Argument): boolean =>
  argument.kind === 'index' && argument.name === 'start' && entry.role !== undefined && entry.role !== 'encode'

function argumentsType(entry: EntryManifest): string {
  const shown = new Set(entry.arguments.map(({ name }) => name))
  const fields = entry.arguments.map((argument) => {
    const mark = optionalArgument(entry, argument) ? '?' : ''
    return `${propertyName(argument.name)}${mark}: ${argument.kind === 'index' ? 'number' : tensorType(argument)}`
  })
  // A size that no length shows may be given by name.
  for (const { name, kind } of entry.symbols) if (kind === 'size' && !shown.has(name)) fields.push(`${propertyName(name)}?: number`)
  return fields.length === 0 ? 'Record<string, never>' : `{ ${fields.join('; ')} }`
}

const wholeNumbers: ReadonlySet<string> = new Set(['i32', 'u32', 'i8', 'u8', 'bool'])

function tensorType({ dtype, dims }: Extract<Argument, { kind: 'tensor' }>): string {
  if (dims.length === 0) return 'number'
  return `readonly number[] | ${wholeNumbers.has(dtype) ? 'Int32Array' : 'Float32Array'}${dims.length > 1 ? ' | NestedNumbers' : ''}`
}

const resultType = ({ results }: EntryManifest): string =>
  results.length === 1 ? oneResult(results[0]!) : `[${results.map(oneResult).join(', ')}]`

/** Values by path are told apart by name. */
const oneResult = ({ name }: EntryManifest['results'][number]): string =>
  name === undefined ? 'TensorResult' : `TensorResult & { readonly name: ${JSON.stringify(name)} }`

function documentation(entry: EntryManifest): string {
  const lines = entry.doc ? [entry.doc, ''] : []
  for (const argument of entry.arguments) {
    if (argument.kind === 'index') lines.push(`${argument.name}: index`)
    else lines.push(`${argument.name}: ${shape(argument)}${argument.below === undefined ? '' : `, values 0 to ${argument.below - 1}`}`)
  }
  for (const result of entry.results) lines.push(`gives ${result.name === undefined ? '' : `${result.name}: `}${shape(result)}`)
  for (const { left, right } of entry.limits) lines.push(`${showAffine(left)} <= ${right}`)
  return lines.join('\n')
}

function shape({ dtype, dims, labels }: { dtype: string; dims: readonly AffineJson[]; labels: readonly string[] }): string {
  return `${dtype}[${dims
    .map((dim, axis) => {
      const size = showAffine(dim)
      return labels[axis] === undefined || labels[axis] === size ? size : `${labels[axis]} = ${size}`
    })
    .join(', ')}]`
}

function showAffine({ const: constant, terms }: AffineJson): string {
  const parts = terms.map(([name, factor]) => (factor === 1 ? name : `${factor}*${name}`))
  if (constant !== 0 || parts.length === 0) parts.push(String(constant))
  return parts.join(' + ').replaceAll('+ -', '- ')
}

/** Text that cannot close the comment it stands in. */
const comment = (text: string): string => text.replaceAll('*/', '*\\/')

const propertyName = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name))
