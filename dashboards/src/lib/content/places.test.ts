import { expect, it } from 'vitest';
import { example, PLACES, placesOf } from './places';

it('places are found once, and what is none is told', () => {
  const { paths, wrong } = placesOf('Hi {{contact.name|there}} and {{ contact.name }}, {{order.id}}: {{1x}} {{contact name}} {not}');
  expect(paths).toEqual(['contact.name', 'order.id']);
  expect(wrong).toEqual(['{{1x}}', '{{contact name}}']);
});
it('everything that is offered is a place', () => {
  for (const [place] of PLACES) expect(placesOf(`{{${place}}}`)).toMatchObject({ wrong: [] });
});
it('an example has a value for every place', () => {
  expect(example(['contact.name', 'contact.first_name', 'order.id'])).toEqual({ contact: { name: 'Maria Lopez', first_name: 'Maria' }, order: { id: '[id]' } });
});
