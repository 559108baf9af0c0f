// How many threads take part in a call, on machines that are made up: times by number of threads, which change when neighbours come and go.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TeamSize } from '../../runtime/devices/team-size.ts'

const meetings = 1000

/** Lets calls take 5 ms by the best size and more by others, a little off; gives the sum in calls of the best. Threads sleep where more are not better. */
function spend(team: TeamSize, calls: number, best: number, noise: () => number): number {
  let sum = 0
  for (let call = 0; call < calls; call++) {
    const { size } = team
    const time = 1.5 ** Math.abs(size - best) * (1 + 0.05 * noise())
    sum += time
    team.took(5 * time, meetings, size > best)
  }
  return sum
}

const machines = fc.record({
  most: fc.integer({ min: 2, max: 6 }),
  phases: fc.array(fc.record({ best: fc.integer({ min: 1, max: 6 }), calls: fc.integer({ min: 2000, max: 3000 }) }), {
    minLength: 1,
    maxLength: 4,
  }),
  seed: fc.integer({ min: 1, max: 2 ** 31 - 2 }),
})

const noises = (seed: number) => {
  let state = seed
  return (): number => (state = (state * 48271) % 2147483647) / 2147483647
}

describe('the size of a team', () => {
  test('comes close to the best one, whatever neighbours do', () => {
    fc.assert(
      fc.property(machines, ({ most, phases, seed }) => {
        const team = new TeamSize(most)
        const noise = noises(seed)
        for (const { best, calls } of phases) expect(spend(team, calls, Math.min(best, most), noise) / calls).toBeLessThan(2)
        expect(team.size).toBeGreaterThanOrEqual(1)
        expect(team.size).toBeLessThanOrEqual(most)
      }),
      { numRuns: 200 },
    )
  })

  test('never changes while nobody sleeps, or where meetings are far apart', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), { maxLength: 400 }),
        (most, times) => {
          const [awake, apart] = [new TeamSize(most), new TeamSize(most)]
          for (const time of times) {
            awake.took(time, meetings, false)
            apart.took(time, 3 * time, true)
            expect([awake.size, apart.size, awake.rouses, apart.rouses]).toEqual([most, most, false, false])
          }
        },
      ),
    )
  })

  test('is all of them again for calls of another kind', () => {
    const team = new TeamSize(4)
    spend(team, 1000, 1, noises(1))
    expect(team.size).toBe(1)
    team.reset()
    expect(team.size).toBe(4)
  })

  test('one thread stays one', () => {
    const team = new TeamSize(1)
    for (let call = 0; call < 1000; call++) {
      team.took(1 + call, meetings, true)
      expect([team.size, team.rouses]).toEqual([1, false])
    }
  })
})
