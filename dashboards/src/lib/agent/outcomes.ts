/** What may come of a call where the tenant has not said what, in the order of the keys 1 to 9. The code is stored; the words are ours. */
export const DISPOSITIONS: readonly { value: string; words: string }[] = [
  { value: 'solved', words: 'Solved' },
  { value: 'follow_up', words: 'We have to follow up' },
  { value: 'call_back', words: 'They want to be called back' },
  { value: 'passed_on', words: 'Passed on to somebody' },
  { value: 'sale', words: 'Bought or ordered' },
  { value: 'complaint', words: 'Complaint' },
  { value: 'information', words: 'Information given' },
  { value: 'wrong_number', words: 'Wrong number' },
  { value: 'no_answer', words: 'Nobody spoke' }
];
export const dispositionWord = (value: string): string => DISPOSITIONS.find((one) => one.value === value)?.words ?? value.replaceAll('_', ' ');
