// The page: reads its fields, gives tasks to the worker, shows what it reports.

import type { DeviceChoice, Failure, KernelRow, Report, Task } from './protocol.ts'

const find = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T
const field = (id: string): HTMLInputElement => find(id)
const button = (id: string): HTMLButtonElement => find(id)

/** The model that ships, until a file takes its place. */
let source: string | File = new URL('model/', document.baseURI).href

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
worker.onmessage = ({ data }: MessageEvent<Report>) => show(data)
worker.onerror = ({ message }) => show({ kind: 'failed', errors: [{ message: message || 'the worker could not be started', notes: [] }] })

function give(task: Task, status: string): void {
  worker.postMessage(task)
  find('error').hidden = true
  setBusy(true, status)
}

function setBusy(busy: boolean, status: string): void {
  for (const id of ['generate', 'kernels']) button(id).disabled = busy
  button('stop').disabled = !busy
  find('status').textContent = status
  document.body.ariaBusy = String(busy)
}

function open(): void {
  find('times').hidden = true
  const context = field('context').valueAsNumber
  const device = field('device').value as DeviceChoice
  give({ kind: 'open', source, device, ...(typeof source === 'string' || Number.isNaN(context) ? {} : { context }) }, 'loading')
}

function generate(): void {
  find('text').replaceChildren(Object.assign(document.createElement('b'), { textContent: field('prompt').value }))
  give(
    {
      kind: 'generate',
      prompt: field('prompt').value,
      maxTokens: field('count').valueAsNumber,
      temperature: field('temperature').valueAsNumber,
      seed: field('seed').valueAsNumber,
    },
    'reading the prompt',
  )
}

function show(report: Report): void {
  switch (report.kind) {
    case 'progress':
      find('status').textContent = report.text
      break
    case 'opened':
      find('model').textContent = describe(report)
      generate()
      break
    case 'piece':
      find('text').append(report.text)
      find('status').textContent = 'writing'
      break
    case 'generated':
      setBusy(
        false,
        `${report.tokens} tokens, the first after ${seconds(report.firstMs)}, then ${report.tokensPerSecond.toFixed(1)} tokens/s${ends[report.stop] ?? ''}`,
      )
      break
    case 'times':
      showTimes(report.rows)
      setBusy(false, report.note)
      break
    case 'failed':
      find('error').replaceChildren(...report.errors.map(showFailure))
      find('error').hidden = false
      setBusy(false, '')
  }
}

function describe({ name, parameters, device, milliseconds }: Extract<Report, { kind: 'opened' }>): string {
  const file = typeof source === 'string' ? '' : `${source.name}: `
  return `${file}${name}, ${parameters.toLocaleString('en')} parameters, on ${device}${alone(device)}; opened in ${seconds(milliseconds)}`
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`

/** Threads need memory that is shared, and browsers only share it in a page that its server has isolated. */
const alone = (device: string): string => (device === 'wasm' && !crossOriginIsolated ? ' (one thread: no COOP and COEP headers)' : '')

const ends: Readonly<Record<string, string>> = { end: '; the model ended', context: '; the context is full', stopped: '; stopped' }

function element(name: string, text: string, ...children: readonly Node[]): HTMLElement {
  const made = document.createElement(name)
  made.append(text, ...children)
  return made
}

function showFailure({ code, message, notes, help }: Failure): HTMLElement {
  return element(
    'div',
    '',
    ...(code === undefined ? [] : [element('code', code)]),
    element('p', message),
    ...[...notes, ...(help === undefined ? [] : [help])].map((line) => element('p', line)),
  )
}

function showTimes(rows: readonly KernelRow[]): void {
  const all = rows.reduce((sum, { milliseconds }) => sum + milliseconds, 0)
  const line = (cell: string, ...texts: readonly string[]): HTMLElement => element('tr', '', ...texts.map((text) => element(cell, text)))
  find('times').replaceChildren(
    line('th', 'kernel', 'launches', 'ms a token', 'share'),
    ...rows.map(({ kernel, launches, milliseconds }) =>
      line('td', kernel, String(launches), milliseconds.toFixed(3), `${((100 * milliseconds) / all || 0).toFixed(1)} %`),
    ),
    line('th', 'all', String(rows.reduce((sum, { launches }) => sum + launches, 0)), all.toFixed(3), ''),
  )
  find('times').hidden = rows.length === 0
}

function openFile(file: File | undefined): void {
  if (!file) return
  source = file
  open()
}

find('form').addEventListener('submit', (event) => {
  event.preventDefault()
  generate()
})
button('stop').addEventListener('click', () => worker.postMessage({ kind: 'stop' } satisfies Task))
button('kernels').addEventListener('click', () => give({ kind: 'time kernels' }, 'timing kernels'))
field('device').addEventListener('change', open)
field('context').addEventListener('change', () => typeof source !== 'string' && open())
field('file').addEventListener('change', () => openFile(field('file').files?.[0]))
document.addEventListener('dragover', (event) => {
  event.preventDefault()
  document.body.classList.add('dropping')
})
document.addEventListener('dragleave', ({ relatedTarget }) => relatedTarget ?? document.body.classList.remove('dropping'))
document.addEventListener('drop', (event) => {
  event.preventDefault()
  document.body.classList.remove('dropping')
  openFile(event.dataTransfer?.files[0])
})
open()
